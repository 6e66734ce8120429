"""Every kind of transformation, and the two ways to write one."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from ingestion.model import nearest
from ingestion.transformers.transformations.columns import DropColumns, RenameColumns, Select
from ingestion.transformers.transformations.formulas import AddColumn, Filter
from ingestion.transformers.transformations.python import Python
from ingestion.transformers.transformations.shape import Transformation
from ingestion.transformers.transformations.sql import Sql

__all__ = ["AnyTransformation"]

_KINDS: Mapping[str, type[Transformation]] = {
    "add_column": AddColumn,
    "filter": Filter,
    "rename_columns": RenameColumns,
    "drop_columns": DropColumns,
    "select": Select,
    "sql": Sql,
    "python": Python,
}
_Name = Literal["add_column", "filter", "rename_columns", "drop_columns", "select", "sql", "python"]
_Written = AddColumn | Filter | RenameColumns | DropColumns | Select | Sql | Python | dict[_Name, Any]


def _transformation(value: Any) -> Any:
    """One of the models; ``{type: filter, condition: x}``, ``{filter: {condition: x}}`` and ``{filter: x}`` are one."""
    if isinstance(value, Transformation) or not isinstance(value, Mapping):
        return value
    options = value
    if "type" not in value and len(value) == 1:
        (name, inner), *_ = value.items()
        options = {"type": name, **_options(_KINDS.get(name), inner)}
    name = options.get("type")
    if isinstance(name, str) and name in _KINDS:
        return _KINDS[name].model_validate(options)
    hint = nearest(str(name), _KINDS, "known transformations")
    text = f"unknown transformation {name!r}; {hint}" if name else f"type is missing; {hint}"
    raise PydanticCustomError("unknown_type", text)


def _options(kind: type[Transformation] | None, inner: Any) -> Mapping[str, Any]:
    """The options behind the name of a kind; a value alone stands for the main one."""
    if kind is None:
        return {}
    whole = isinstance(inner, Mapping)
    if whole and kind is RenameColumns:
        whole = isinstance(inner.get(kind.main), Mapping)  # else it is the map of names itself
    return inner if whole else {kind.main: inner}


# Not a discriminated union: pydantic has none whose members validate placeholders.
AnyTransformation = Annotated[Transformation, BeforeValidator(_transformation, json_schema_input_type=_Written)]
