"""A reading in several parts, which connections read side by side in one snapshot."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.types as t
from sqlalchemy import func, or_
from sqlalchemy.sql.elements import ColumnElement

from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.literals import value
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session
from ingestion.errors import ConfigError
from ingestion.model import nearest

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["between", "must_part", "parts_of"]

_DIGITS = 80  # that decimals have while they are divided; those of tables have 38
Conditions: TypeAlias = Sequence[ColumnElement[bool]]

_REACH = {  # what lies beyond, such as infinity, is in the first or the last part
    "date": (date.min, date.max),
    "timestamp": (datetime.min, datetime.max),  # noqa: DTZ901 - of columns with and without zone
    "decimal": (-(10**38), 10**38),
}


def parts_of(
    session: Session, relation: Relation, described: Described, options: "DatabaseConnector", conditions: Conditions
) -> Sequence[Conditions]:
    """The conditions of each part: together they are *conditions*, and no row meets those of two.

    Raises ConfigError where there is no column by whose ranges to part the rows.
    """
    count = options.num_partitions
    if count == 1:
        return [conditions]
    own = None if options.partition_column is not None else session.database.ranges(session, relation, count)
    column = None if own is not None else _column(described, options)
    if column is not None:
        expression = relation.column(column.name)
        bounds = _bounds(session, relation, column, conditions, count)
        own = between(expression, bounds, nulls=column.name not in described.key)
    return [[*conditions, one] for one in own or ()] or [conditions]


def must_part(session: Session, relation: Relation, described: Described, options: "DatabaseConnector") -> None:
    """Raise ConfigError where there are to be several parts, and nothing to part the rows by."""
    if options.num_partitions > 1:
        named = options.partition_column is not None
        if named or session.database.ranges(session, relation, options.num_partitions) is None:
            _column(described, options)


def between(column: ColumnElement[Any], bounds: Sequence[Any], *, nulls: bool) -> list[ColumnElement[bool]]:
    """Conditions for what is below, between and above *bounds*, which grow; the first is for *nulls*, too."""
    if not bounds:
        return []
    below = column < value(bounds[0])
    first = or_(below, column.is_(None)) if nulls else below
    inner = [(column >= value(start)) & (column < value(end)) for start, end in pairwise(bounds)]
    return [first, *inner, column >= value(bounds[-1])]


def _column(described: Described, options: "DatabaseConnector") -> Column:
    name = options.partition_column or (described.key[0] if len(described.key) == 1 else None)
    if name is None:
        raise ConfigError("source.num_partitions: name a column of numbers or dates as source.partition_column")
    column = described.column(name)
    if column is None:
        known = nearest(name, [item.name for item in described.columns], "the columns are")
        raise ConfigError(f"source.partition_column names {name!r}; {known}")
    if not (t.is_signed_integer(column.dtype) or _kind(column.dtype) in _REACH):
        raise ConfigError(
            f"source.num_partitions parts rows by {name}, which is {column.declared}; name a column of whole numbers, "
            f"decimals, dates or timestamps as source.partition_column"
        )
    return column


def _kind(dtype: pa.DataType) -> str:
    return "decimal" if t.is_decimal(dtype) else "date" if t.is_date(dtype) else str(dtype).partition("[")[0]


def _bounds(session: Session, relation: Relation, column: Column, conditions: Conditions, count: int) -> list[Any]:
    """What parts the values from the smallest to the largest into *count* ranges as wide as each other."""
    expression = relation.column(column.name)
    reach = _REACH.get(_kind(column.dtype))
    within = [expression >= value(reach[0]), expression <= value(reach[1])] if reach is not None else []
    found = [*conditions, *within]
    least, most = (session.one(relation.value(pick(expression), found)) for pick in (func.min, func.max))
    if least is None:
        return []
    least, most = _exact(least, column.dtype), _exact(most, column.dtype)
    with localcontext(prec=_DIGITS):
        return sorted({least + (most - least) * number // count for number in range(1, count)} - {least})


def _exact(found: Any, dtype: pa.DataType) -> Any:
    """A value whose distance from another can be divided: dates and numbers as a driver may give them."""
    if t.is_signed_integer(dtype):
        return int(found)
    if t.is_decimal(dtype):
        return Decimal(str(found))
    if t.is_timestamp(dtype):
        return datetime.fromisoformat(found) if isinstance(found, str) else found
    return found
