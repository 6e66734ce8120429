"""How far a job has come, as it is kept with the rows: JSON of texts, which lose nothing of any value."""

from collections.abc import Mapping
from datetime import date, datetime, time, timezone, tzinfo
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from ingestion.connectors.databases.incremental.ordering import Ordering, Position
from ingestion.errors import ConfigError
from ingestion.plugins import Cursor

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["States"]

_WIDER = {("integer", "decimal")}  # kinds of which the second reads what the first has kept
_REMEDY = (
    "change it back, or give the job a new id (and initial_value, where it is to begin), or roll its loads back: "
    "ingestion rollback"
)


class States(NamedTuple):
    """What the positions of a job are kept as."""

    ordering: Ordering
    options: "DatabaseConnector"
    zone: tzinfo | None  # of a cursor without one; None where it has one, or where nobody tells

    def kept(self, position: Position) -> Cursor:
        """*position* as a cursor; `position` reads it."""
        key = None
        if position.key is not None:
            parts = zip(self.ordering.parts, position.key, strict=False)  # a cursor that is unique needs no key
            key = {item.column.name: item.known.text(part) for item, part in parts}
        cursor = self.ordering.cursor
        return {
            "column": cursor.column.name,
            "kind": cursor.known.name,
            "value": cursor.known.text(position.value),
            "key": key,
            **self._origin,
            **self._moment(position),
        }

    def position(self, state: Cursor) -> Position | None:
        """The position that *state* was made of; raises ConfigError where it is none in this order."""
        if state is None:
            return None
        if not isinstance(state, dict) or not {"column", "kind", "value", "key"} <= set(state):
            raise ConfigError(
                "the stored cursor is not a database's: another kind of source wrote it; give the job a new id"
            )
        cursor = self.ordering.cursor
        told = f"{state['column']} ({state['kind']}) up to {state['value']}"
        kinds = (state["kind"], cursor.known.name)
        if state["column"] != cursor.column.name or (kinds[0] != kinds[1] and kinds not in _WIDER):
            now = f"source.incremental.cursor_column is {cursor.column.name} ({cursor.known.name})"
            raise ConfigError(f"{now}, but this job has loaded by {told}; {_REMEDY}")
        if (before := {**self._origin, **state})["table"] != self.options.table or before["schema"] != self._schema:
            now = _relation(self._origin)
            raise ConfigError(f"the source is {now}, but this job has loaded {_relation(before)}, {told}; {_REMEDY}")
        found = Position(cursor.known.read(state["value"], self.zone), self._key(state["key"], told))
        self._check_zone(state, found, told)
        return found

    def told(self, state: Cursor) -> Mapping[str, Any]:
        """What people are to know of a position that was found at another place, or by another query."""
        if not isinstance(state, dict):
            return {}
        before = {**self._origin, **state}
        found = {}
        if before["place"] != self._origin["place"]:
            found["position is from"] = before["place"]
        if before["query"] != self._origin["query"]:
            found["position is of"] = "another query; rows of this one that lie before it are not read"
        return found

    @property
    def _schema(self) -> str | None:
        return self.options.schema

    @property
    def _origin(self) -> dict[str, str | None]:
        query = self.options.query
        return {
            "place": self.options.server.place,
            "schema": self._schema,
            "table": self.options.table,
            "query": query and sha256(" ".join(query.split()).encode()).hexdigest(),
        }

    def _moment(self, position: Position) -> dict[str, str]:
        """When clocks of the zone show the position, where that is what it was taken from."""
        value = position.value
        if position.key is not None or self.zone is None or not isinstance(value, date):
            return {}
        wall = value if isinstance(value, datetime) else datetime.combine(value, time())
        if wall.tzinfo is not None:
            return {}
        try:
            return {"zone": str(self.zone), "moment": _in_utc(wall, self.zone)}
        except OverflowError:  # at an end of the calendar
            return {}

    def _check_zone(self, state: dict[str, Any], position: Position, told: str) -> None:
        now = self._moment(position)
        if not now or "zone" not in state or state["zone"] == now["zone"] or state["moment"] == now["moment"]:
            return
        raise ConfigError(
            f"times of {self.ordering.cursor.column.name} are taken to be in {now['zone']}, but this job has loaded by "
            f"{told} in {state['zone']}, so that rows would be left out or come twice; set "
            f"source.incremental.source_timezone to that, or {_REMEDY}"
        )

    def _key(self, kept: dict[str, Any] | None, told: str) -> tuple[Any, ...] | None:
        if kept is None:
            return None
        parts = self.ordering.parts if kept else self.ordering.key
        names = [item.column.name for item in parts]
        if list(kept) != names or not (kept or self.ordering.unique):
            raise ConfigError(
                f"rows of equal {self.ordering.cursor.column.name} are told apart by {', '.join(names) or 'nothing'}, "
                f"but this job has loaded by {told} and {', '.join(kept) or 'no more, as there were none'}; "
                f"set source.incremental.tie_breaker to that, or {_REMEDY}"
            )
        return tuple(item.known.read(kept[item.column.name], self.zone) for item in parts)


def _relation(source: Mapping[str, Any]) -> str:
    return ".".join(part for part in (source["schema"], source["table"]) if part) or "a query"


def _in_utc(wall: datetime, zone: tzinfo) -> str:
    return wall.replace(tzinfo=zone).astimezone(timezone.utc).isoformat()
