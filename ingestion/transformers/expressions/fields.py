"""Options of job files that are expressions."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from ingestion.errors import ConfigError
from ingestion.transformers.expressions.expression import Expression

__all__ = ["ExpressionText"]


def _checked(text: str) -> str:
    try:
        Expression.parse(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return text


ExpressionText: TypeAlias = Annotated[str, AfterValidator(_checked)]
