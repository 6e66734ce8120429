"""Rows that are new since the last run, up to where no row can follow that this run does not see."""

from collections.abc import Mapping
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, literal_column, not_, or_
from sqlalchemy.sql.elements import ColumnElement

from ingestion.connectors.databases.clocks import Clock
from ingestion.connectors.databases.columns import Described
from ingestion.connectors.databases.incremental.kinds import Kind
from ingestion.connectors.databases.incremental.newest import newest, refuse_gaps, refuse_twins
from ingestion.connectors.databases.incremental.ordering import Position
from ingestion.connectors.databases.incremental.states import States
from ingestion.connectors.databases.incremental.tie_breakers import ordering_of
from ingestion.connectors.databases.options import seconds
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session
from ingestion.errors import ConfigError, DataError
from ingestion.plugins import Cursor

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["Incremental", "Span"]

_LAG = "60s"
_ROWVERSIONS = ("rowversion", "timestamp")


class Span(NamedTuple):
    """Rows between two positions."""

    start: Position | None  # None = from the smallest
    end: Position | None  # None = there is no row
    moves: bool = True  # whether the next run begins at its end


class Incremental:
    """The window of a run that *options* ask for."""

    def __init__(
        self, session: Session, relation: Relation, described: Described, options: "DatabaseConnector"
    ) -> None:
        assert options.incremental is not None  # noqa: S101 - whoever calls has looked
        self.session = session
        self.relation = relation
        self.options = options
        self.asked = options.incremental
        self.ordering = ordering_of(relation, described, options)
        self.column = self.ordering.cursor.column
        self.states = States(self.ordering, options, self.zone)

    def backfill(self) -> Span:
        """What initial_value and end_value name, wherever the job has come to."""
        self._check()
        first, last = self._given("initial_value"), self._given("end_value")
        if first is not None and not first < last:
            raise ConfigError("source.incremental.end_value is not beyond initial_value, so that nothing lies between")
        return Span(None if first is None else Position(first), Position(last), moves=False)

    def since(self, cursor: Cursor) -> Span:
        """What is new since *cursor*."""
        self._check()
        stored = self.states.position(cursor)
        if stored is not None and stored.key is not None:
            refuse_twins(self.session, self.relation, self.ordering, stored)
            if self._by_clock:
                refuse_gaps(self.session, self.relation, self.ordering, stored)
        first = self._given("initial_value")
        initial = None if first is None else Position(first)
        end = self._end(stored or initial)
        return Span(initial if stored is None else self._earlier(stored, initial), end)

    def beyond(self, cursor: Cursor) -> ColumnElement[bool]:
        """What rows meet that are new since *cursor*."""
        position = self.states.position(cursor)
        return literal_column("1") == literal_column("1") if position is None else self.ordering.after(position)

    def conditions(self, span: Span) -> list[ColumnElement[bool]]:
        """What rows of *span* meet, and those without a cursor where they are wanted."""
        found = [] if span.start is None else [self.ordering.after(span.start)]
        found.append(literal_column("1") == literal_column("0") if span.end is None else self.ordering.until(span.end))
        if self.asked.on_null_cursor == "include":
            return [or_(and_(*found), self._absent)]
        return found

    def state(self, span: Span) -> Cursor:
        """The cursor of the run after this one; None = as before."""
        return self.states.kept(span.end) if span.moves and span.end is not None else None

    def told(self, span: Span, cursor: Cursor) -> Mapping[str, Any]:
        """What is read, from where *cursor* is."""
        told = {"window": self._named(span)}
        if span.moves and self._kind.name == "text":
            told["safety_lag"] = f"none: {self.column.name} is of texts, and the newest ends the run"
        return told if not span.moves else {**told, **self.states.told(cursor)}

    def counted(self, span: Span) -> Mapping[str, Any]:
        """How many rows are not read; raises DataError where such rows must not be."""
        told: dict[str, Any] = {}
        if self.asked.on_null_cursor != "include" and (count := self._count(self._absent)):
            self._refuse(count)
            told["without a cursor"] = count
        if span.moves:
            count = self._count(not_(self._absent) if span.end is None else self.ordering.after(span.end))
            if self._by_clock:
                told["held back by safety_lag"] = count
            elif count:
                told["held back until newer ones come"] = count
        return told

    def _refuse(self, count: int) -> None:
        if self.asked.on_null_cursor == "raise":
            raise DataError.without_values(
                f"{count:,} row{'s' * (count > 1)} of {self.relation.name} without {self.column.name} cannot be found "
                f"by it when new; fill it there, or set source.incremental.on_null_cursor to exclude or include"
            )

    def _named(self, span: Span) -> str:
        if span.end is None:
            return f"no row has a {self.column.name}"
        start = "the first" if span.start is None else _said(span.start, self._kind)
        word = "before" if span.end.key is None else "up to"
        return f"{self.column.name} from {start} {word} {_said(span.end, self._kind)}"

    # where it ends

    def _end(self, start: Position | None) -> Position | None:
        clock = self._clock
        if clock.rowversion is not None and self.column.declared.lower() in _ROWVERSIONS:
            return _later(start, clock.rowversion)
        if self._by_clock and self._kind.at is not None:
            moment = clock.now - timedelta(seconds=self._lag)
            return _later(start, self._kind.at(moment, self._zone_of_clock))
        return newest(self.session, self.relation, self.ordering, start) or start

    @property
    def _by_clock(self) -> bool:
        return self._kind.is_clock and self._lag > 0

    @property
    def _lag(self) -> float:
        given = self.asked.safety_lag
        return seconds(_LAG if given is None else given)

    # where it begins

    def _given(self, option: str) -> Any:
        item = getattr(self.asked, option)
        if item is None:
            return None
        try:
            return self._kind.read(item, self.zone or self._clock.zone)
        except ValueError as error:
            raise ConfigError(f"source.incremental.{option}: {error}") from None

    def _earlier(self, stored: Position, initial: Position | None) -> Position | None:
        """*stored*, or as much before it as lookback says; never before the first."""
        if not self.asked.looks_back:
            return stored
        value = self._back(stored.value)
        return initial if value is None or (initial is not None and value < initial.value) else Position(value)

    def _back(self, value: Any) -> Any:
        try:
            return self._kind.back(value, self.asked.lookback, self.zone)
        except ValueError as error:
            told = f"{self.column.name} is of type {self.column.declared}"
            raise ConfigError(f"source.incremental.lookback: {error}; {told}") from None

    # what is known of the column

    @property
    def _kind(self) -> Kind:
        return self.ordering.cursor.known

    @property
    def _clock(self) -> Clock:
        assert self.session.clock is not None  # noqa: S101 - asked for every incremental reading
        return self.session.clock

    @property
    def zone(self) -> tzinfo | None:
        """The zone of times that have none; None where nobody tells it."""
        from zoneinfo import ZoneInfo

        given = self.asked.source_timezone
        if given is not None:
            return ZoneInfo(given)
        return None if self._kind.name == "timestamp with time zone" else self._clock.zone

    @property
    def _zone_of_clock(self) -> tzinfo | None:
        if self.zone is None and self._kind.name != "timestamp with time zone":
            raise ConfigError(
                f"{self.column.name} has no time zone, and {self.session.database.title} does not tell which one its "
                f"clock is in; set source.incremental.source_timezone, such as Europe/Stockholm"
            )
        return self.zone

    def _check(self) -> None:
        if self._kind.is_clock:
            return
        for option, given in (("safety_lag", self._lag), ("source_timezone", True)):
            if getattr(self.asked, option) is not None and given:
                raise ConfigError(
                    f"source.incremental.{option} is for times, and {self.column.name} is of type "
                    f"{self.column.declared}; leave it out, or take a column of times"
                )
        if self.asked.looks_back:
            self._back(0)

    @property
    def _absent(self) -> ColumnElement[bool]:
        return self.ordering.cursor.absent

    def _count(self, condition: ColumnElement[bool]) -> int:
        return int(self.session.one(self.relation.count([condition])))


def _later(start: Position | None, value: Any) -> Position:
    """The position before *value*, or *start* where that lies behind it already: clocks may be put back."""
    return start if start is not None and value <= start.value else Position(value)


def _said(position: Position, kind: Kind) -> str:
    key = f" ({', '.join(map(str, position.key))})" if position.key else ""
    return f"{kind.text(position.value)}{key}"
