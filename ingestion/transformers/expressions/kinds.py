"""Which types go together."""

from typing import Literal, TypeAlias

import polars as pl

__all__ = ["Kind", "comparable", "kind_of", "shown"]

Kind: TypeAlias = Literal[
    "number", "text", "boolean", "null", "date", "timestamp", "timestamptz", "time", "interval", "other"
]

_NAMES: dict[str, str] = {"Int64": "long", "Int32": "int", "Float64": "double", "Float32": "float"}


def kind_of(dtype: pl.DataType) -> Kind:
    """What may be done with values of *dtype*."""
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.Datetime):
        return "timestamptz" if dtype.time_zone else "timestamp"
    known: dict[type[pl.DataType], Kind] = {
        pl.String: "text",
        pl.Boolean: "boolean",
        pl.Null: "null",
        pl.Date: "date",
        pl.Time: "time",
        pl.Duration: "interval",
    }
    return known.get(type(dtype), "other")


def comparable(left: Kind, right: Kind) -> bool:
    """Whether one can be less than, equal to, or put in place of the other."""
    days = {"date", "timestamp"}
    return left == right or "null" in (left, right) or {left, right} == days


def shown(dtype: pl.DataType) -> str:
    """What people call *dtype*."""
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    kind = kind_of(dtype)
    if kind in {"number", "other"}:
        return _NAMES.get(str(dtype), str(dtype).lower())
    return {"text": "string"}.get(kind, kind)
