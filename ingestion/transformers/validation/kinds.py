"""Every kind of rule, chosen by its name."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from ingestion.model import nearest
from ingestion.transformers.validation.between import Between
from ingestion.transformers.validation.condition import Condition
from ingestion.transformers.validation.plain import In, Length, NotNull, Regex
from ingestion.transformers.validation.references import References
from ingestion.transformers.validation.shape import Rule
from ingestion.transformers.validation.unique import Unique

__all__ = ["AnyRule"]

_KINDS: Mapping[str, type[Rule]] = {
    "not_null": NotNull,
    "unique": Unique,
    "in": In,
    "between": Between,
    "regex": Regex,
    "length": Length,
    "references": References,
    "expression": Condition,
}
_Written = NotNull | Unique | In | Between | Regex | Length | References | Condition


def _rule(value: Any) -> Any:
    if isinstance(value, Rule) or not isinstance(value, Mapping):
        return value
    name = value.get("rule")
    if isinstance(name, str) and name in _KINDS:
        return _KINDS[name].model_validate(value)
    hint = nearest(str(name), _KINDS, "known rules")
    raise PydanticCustomError("unknown_type", f"unknown rule {name!r}; {hint}" if name else f"rule is missing; {hint}")


# Not a discriminated union: pydantic has none whose members validate placeholders.
AnyRule = Annotated[Rule, BeforeValidator(_rule, json_schema_input_type=_Written)]
