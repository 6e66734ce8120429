"""The order in which rows become known: by their cursor, and among equal ones by a key."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import and_, literal_column, or_
from sqlalchemy.sql.elements import ColumnElement

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.incremental.kinds import Kind
from ingestion.connectors.databases.literals import value
from ingestion.connectors.databases.relation import Relation
from ingestion.errors import ConfigError, DataError

__all__ = ["Ordered", "Ordering", "Position", "ordered"]

_DAY = "GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_BARE = "replace(replace(replace(replace({}, 'T', ' '), 'Z', ''), '+00:00', ''), '+0000', '')"
_IN_FULL = f"substr({_BARE} || substr('0000-00-00 00:00:00.000000', length({_BARE}) + 1), 1, 26)"
# Texts of one length, which sort as the times do: with a blank or T, any digits of a second, and an offset or none.
_SQLITE_TIME = (
    f"CASE WHEN typeof({{}}) = 'text' AND {{}} {_DAY}*' AND julianday({{}}) IS NOT NULL THEN CASE "
    f"WHEN substr({_BARE}, 11) GLOB '*[-+]*' THEN strftime('%Y-%m-%d %H:%M:%f', {{}}) || '000' ELSE {_IN_FULL} END END"
)
_SQLITE_DATE = f"CASE WHEN typeof({{}}) = 'text' AND {{}} {_DAY}*' THEN substr({{}}, 1, 10) END"


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
    key: Sequence[Ordered]
    backend: str
    unique: bool  # whether no two rows have the same cursor
    with_gaps: bool  # whether a column of the key may be null

    @property
    def columns(self) -> list[ColumnElement[Any]]:
        """What sorts rows in this order."""
        return [self.cursor.sql, *(item.sql for item in self.key)]

    def after(self, position: Position) -> ColumnElement[bool]:
        """The condition that rows beyond *position* meet."""
        sql, bound = self.cursor.sql, self.cursor.bound(position.value, self.backend)
        near = self.cursor.days(position.value, -1)
        if position.key is None:
            return and_(*near, sql >= bound)
        if not position.key:
            return and_(*near, sql > bound)
        # The first comparison alone is what an index of the cursor answers.
        return and_(*near, sql >= bound, or_(sql > bound, self._keys(position.key, beyond=True)))

    def until(self, position: Position) -> ColumnElement[bool]:
        """The condition that rows up to *position* meet, of which each row meets this or `after`."""
        sql, bound = self.cursor.sql, self.cursor.bound(position.value, self.backend)
        near = self.cursor.days(position.value, 2)
        if position.key is None:
            return and_(*near, sql < bound)
        if not position.key:
            return and_(*near, sql <= bound)
        return and_(*near, sql <= bound, or_(sql < bound, self._keys(position.key, beyond=False)))

    def _keys(self, key: tuple[Any, ...], *, beyond: bool) -> ColumnElement[bool]:
        pairs = [(item.sql, item.bound(part, self.backend)) for item, part in zip(self.key, key, strict=True)]
        sql, bound = pairs.pop()
        found: ColumnElement[bool] = sql > bound if beyond else sql <= bound
        for sql, bound in reversed(pairs):
            found = or_(sql > bound if beyond else sql < bound, and_(sql == bound, found))
        return found


def ordered(relation: Relation, column: Column, kind: Kind | None) -> Ordered:
    """How rows are ordered by *column*."""
    name = relation.qualified(column.name)

    def placed(sql: str) -> ColumnElement[Any]:
        return literal_column(sql.replace("{}", name))

    compared, shown = "{}", column.plain
    near: ColumnElement[Any] | None = None
    if kind is not None and kind.is_clock and relation.dialect.name == "sqlite":
        compared = shown = _SQLITE_DATE if kind.name == "date" else _SQLITE_TIME
        near = literal_column(name)
    elif kind is not None and kind.name == "text":
        compared = column.plain  # types that become texts are compared as these, by which they are told again
        if relation.dialect.name == "mysql" and column.declared.lower().startswith(("enum", "set")):
            compared = "CONCAT({}, '')"  # they sort by number, and are compared with texts as texts
    return Ordered(column, kind, placed(compared), placed(shown), placed(column.sound), near)


def _in_sqlite(item: Any) -> Any:
    if isinstance(item, datetime):
        return item.isoformat(" ", "microseconds")
    if isinstance(item, date):
        return item.isoformat()
    if isinstance(item, Decimal):
        return int(item) if item == item.to_integral_value() else float(item)
    return item
