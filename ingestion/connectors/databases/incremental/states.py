"""How far a job has come, as it is kept with the rows: JSON of texts, which lose nothing of any value."""

from datetime import tzinfo
from typing import Any

from ingestion.connectors.databases.incremental.ordering import Ordering, Position
from ingestion.errors import ConfigError
from ingestion.plugins import Cursor

__all__ = ["kept", "position_of"]


def kept(position: Position, ordering: Ordering, table: str | None) -> Cursor:
    """*position* as a cursor; `position_of` reads it."""
    key = None
    if position.key is not None:
        parts = zip(ordering.key, position.key, strict=False)  # a cursor that is unique needs no key
        key = {item.column.name: item.known.text(part) for item, part in parts}
    cursor = ordering.cursor
    return {
        "column": cursor.column.name,
        "kind": cursor.known.name,
        "value": cursor.known.text(position.value),
        "key": key,
        "table": table,
    }


def position_of(state: Cursor, ordering: Ordering, table: str | None, zone: tzinfo | None) -> Position | None:
    """The position that `kept` made *state* of; raises ConfigError where it is none in this order."""
    if state is None:
        return None
    if not isinstance(state, dict) or not {"column", "kind", "value", "key"} <= set(state):
        raise ConfigError(
            "the stored cursor is not a database's: another kind of source wrote it; give the job a new id"
        )
    cursor = ordering.cursor
    told = f"{state['column']} ({state['kind']}) up to {state['value']}"
    if (state["column"], state["kind"]) != (cursor.column.name, cursor.known.name):
        now = f"source.incremental.cursor_column is {cursor.column.name} ({cursor.known.name})"
        raise ConfigError(f"{now}, but this job has loaded by {told}; {_REMEDY}")
    if state.get("table") and table and state["table"] != table:
        raise ConfigError(f"source.table is {table}, but this job has loaded {state['table']}, {told}; {_REMEDY}")
    return Position(cursor.known.read(state["value"], zone), _key(state["key"], ordering, told, zone))


_REMEDY = (
    "change it back, or give the job a new id (and initial_value, where it is to begin), or roll its loads back: "
    "ingestion rollback"
)


def _key(kept: dict[str, Any] | None, ordering: Ordering, told: str, zone: tzinfo | None) -> tuple[Any, ...] | None:
    if not kept:
        return None if kept is None else ()
    if set(kept) != {item.column.name for item in ordering.key}:
        names = ", ".join(item.column.name for item in ordering.key) or "none"
        raise ConfigError(
            f"rows of equal {ordering.cursor.column.name} are told apart by {names}, but this job has loaded by "
            f"{told} and {', '.join(kept)}; set source.incremental.tie_breaker to that, or {_REMEDY}"
        )
    return tuple(item.known.read(kept[item.column.name], zone) for item in ordering.key)
