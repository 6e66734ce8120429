"""The order in which rows become known: by their cursor, and among equal ones by a key."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow.types as pt
from sqlalchemy import and_, literal_column, not_, or_
from sqlalchemy.sql.elements import ColumnElement

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.incremental.kinds import Kind
from ingestion.connectors.databases.literals import value
from ingestion.connectors.databases.relation import Relation
from ingestion.errors import ConfigError, DataError

__all__ = ["Ordered", "Ordering", "Position", "ordered"]

_BEYOND_INTEGERS = 1 << 63  # of SQLite


class Position(NamedTuple):
    """Somewhere in that order."""

    value: Any
    key: tuple[Any, ...] | None = None  # of the last row before it; () = all rows of that value, None = not one of them


class Ordered(NamedTuple):
    """A column by which rows are ordered."""

    column: Column
    kind: Kind | None  # None = its values cannot be kept
    sql: ColumnElement[Any]  # what is compared; null where a value has no place in the order
    shown: ColumnElement[Any]  # what tells its value to `Kind.read`
    fits: ColumnElement[bool]  # whether `shown` can be selected
    near: ColumnElement[Any] | None = None  # what an index has where `sql` is more than the column: texts of times
    unplaced: ColumnElement[bool] | None = None  # whether a value that is not null has no place in the order

    @property
    def absent(self) -> ColumnElement[bool]:
        """Whether a row has no place in the order."""
        return self.sql.is_(None) if self.unplaced is None else or_(self.sql.is_(None), self.unplaced)

    @property
    def inside(self) -> list[ColumnElement[bool]]:
        """Conditions that leave out values without a place where a comparison would find them."""
        return [] if self.unplaced is None else [not_(self.unplaced)]

    @property
    def known(self) -> Kind:
        """Its kind; raises ConfigError where it has none."""
        if self.kind is None:
            raise ConfigError(
                f"{self.column.name} of type {self.column.declared} cannot tell rows of equal cursor apart; "
                f"set source.incremental.tie_breaker to columns of numbers, texts, dates or times"
            )
        return self.kind

    def read(self, item: Any) -> Any:
        """The value that the database tells."""
        try:
            return self.known.read(item, None)
        except ValueError as error:
            text = f"{{}}; source.where_clause can leave such rows out, where {self.column.name} tells which are newest"
            raise DataError(text.format(error), veiled=text.format("a value cannot be kept")) from None

    def bound(self, item: Any, backend: str) -> ColumnElement[Any]:
        """*item* as the database compares it with `sql`."""
        if isinstance(item, datetime) and item.tzinfo is not None and backend in {"mysql", "sqlite"}:
            item = item.astimezone(timezone.utc).replace(tzinfo=None)  # as the session shows them
        if backend == "sqlite":
            item = _in_sqlite(item)
        return value(item)

    def days(self, item: Any, count: int) -> list[ColumnElement[bool]]:
        """A condition that texts on that side of *item* meet whatever their offset: a day is no more than one off."""
        if self.near is None:
            return []
        try:
            day = value((item + timedelta(days=count)).isoformat()[:10])
        except OverflowError:
            return []
        return [self.near >= day if count < 0 else self.near < day]


class Ordering(NamedTuple):
    """The order of rows, and the conditions for those on either side of a position."""

    cursor: Ordered
    parts: Sequence[Ordered]  # of the key
    backend: str
    unique: bool  # whether no two rows have the same cursor
    with_gaps: bool  # whether a column of the key may be null
    promised: str = ""  # the option that says what tells rows apart; empty = the database does

    @property
    def key(self) -> Sequence[Ordered]:
        """What tells rows of equal cursor apart; nothing where there are none."""
        return () if self.unique else self.parts

    @property
    def columns(self) -> list[ColumnElement[Any]]:
        """What sorts rows in this order."""
        return [self.cursor.sql, *(item.sql for item in self.key)]

    def after(self, position: Position) -> ColumnElement[bool]:
        """The condition that rows beyond *position* meet."""
        sql, bound = self.cursor.sql, self.cursor.bound(position.value, self.backend)
        near = self.cursor.days(position.value, -1)
        if position.key is None:
            return and_(*near, sql >= bound, *self.cursor.inside)
        if not position.key:
            return and_(*near, sql > bound, *self.cursor.inside)
        # The first comparison alone is what an index of the cursor answers.
        beyond = or_(sql > bound, self._keys(position.key, beyond=True))
        return and_(*near, sql >= bound, beyond, *self.cursor.inside)

    def until(self, position: Position) -> ColumnElement[bool]:
        """The condition that rows up to *position* meet, of which each row meets this or `after`."""
        sql, bound = self.cursor.sql, self.cursor.bound(position.value, self.backend)
        near = self.cursor.days(position.value, 2)
        if position.key is None:
            return and_(*near, sql < bound, *self.cursor.inside)
        if not position.key:
            return and_(*near, sql <= bound, *self.cursor.inside)
        before = or_(sql < bound, self._keys(position.key, beyond=False))
        return and_(*near, sql <= bound, before, *self.cursor.inside)

    def at(self, position: Position) -> ColumnElement[bool]:
        """The condition that the last row before *position* meets, and no other where rows are told apart."""
        told = zip([self.cursor, *self.parts], [position.value, *(position.key or ())], strict=False)
        return and_(*(item.sql == item.bound(part, self.backend) for item, part in told))

    def _keys(self, key: tuple[Any, ...], *, beyond: bool) -> ColumnElement[bool]:
        pairs = [(item.sql, item.bound(part, self.backend)) for item, part in zip(self.parts, key, strict=True)]
        sql, bound = pairs.pop()
        found: ColumnElement[bool] = sql > bound if beyond else sql <= bound
        for sql, bound in reversed(pairs):
            found = or_(sql > bound if beyond else sql < bound, and_(sql == bound, found))
        return found


def ordered(relation: Relation, column: Column, kind: Kind | None) -> Ordered:
    """How rows are ordered by *column*."""
    name = relation.qualified(column.name)

    def placed(sql: str) -> ColumnElement[Any]:
        return literal_column(f"({sql.replace('{}', name)})" if " " in sql else sql.replace("{}", name))

    # Types that become texts are compared as these, by which they are told again.
    compared = column.compared or (column.plain if kind is not None and pt.is_string(column.dtype) else "{}")
    by_text = kind is not None and kind.is_clock and bool(column.compared)
    return Ordered(
        column,
        kind,
        placed(compared),
        placed(column.compared or column.plain),
        placed("1 = 1" if column.compared else column.sound),
        literal_column(name) if by_text else None,
        placed(column.unplaced) if column.unplaced else None,
    )


def _in_sqlite(item: Any) -> Any:
    if isinstance(item, datetime):
        return item.isoformat(" ", "microseconds")
    if isinstance(item, date):
        return item.isoformat()
    if isinstance(item, Decimal):
        return int(item) if item == item.to_integral_value() and abs(item) < _BEYOND_INTEGERS else float(item)
    return item
