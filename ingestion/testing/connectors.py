"""The contract of connectors."""

import threading
import time
from collections import Counter

import pyarrow as pa

from ingestion.plugins import Batch, Connector, Cursor, Restart
from ingestion.testing.contract import check_batch, check_configuration, require, rows_of, schema_of

__all__ = ["check_connector"]


def check_connector(connector: Connector, *, incremental: bool = True, patience: float = 5.0) -> pa.Table:
    """All rows of *connector*, once it has kept the contract of `Connector`.

    It is read several times: again, with its own types as known, from its own cursor, and half-way.
    Without *incremental* its cursor may be disregarded; *patience* is for its threads to end, in seconds.
    """
    check_configuration(connector)
    batches = _read(connector, None, None)
    schema, rows = schema_of(batches), rows_of(batches)
    _check_places(batches)
    again = _read(connector, None, None)
    require(rows_of(again) == rows, f"{rows} rows at first, {rows_of(again)} the second time; reading changes nothing")
    require(schema_of(again) == schema, "the second read gave other columns or types; they follow from the source")
    known = _read(connector, None, schema)
    require(
        schema_of(known) == schema, f"columns known as {schema} were read as {schema_of(known)}; known types are kept"
    )
    cursors = [batch.cursor for batch in batches if batch.cursor is not None]
    if incremental:
        require(
            not rows or batches[-1].cursor is not None,
            "the last batch carries no cursor; the next run would read all again",
        )
        new = rows_of(_read(connector, cursors[-1] if cursors else None, schema)) if rows else 0
        require(not new, f"{new} rows were read again from the cursor of the read before; it says where to resume")
    _check_reread(connector, schema, cursors[-1] if incremental and cursors else None)
    _check_watch(connector, rows, cursors[-1] if incremental and cursors else None)
    _check_closing(connector, patience)
    return pa.concat_tables((pa.Table.from_batches([batch.records]) for batch in batches), promote_options="default")


def _check_places(batches: list[Batch]) -> None:
    """No two rows of a source stand at one place, rejected ones included."""
    found: Counter[tuple[str, int | None]] = Counter()
    for batch in batches:
        here = batch.origin.at(pa.array(range(batch.records.num_rows), pa.int64())).to_pylist()
        found.update((batch.origin.source, position) for position in here)
        if batch.rejected is not None:
            places = (batch.rejected[name].to_pylist() for name in ("source", "position"))
            found.update(zip(*places, strict=True))
    for (source, position), count in found.items():
        require(
            count == 1 or position is None,
            f"{count} rows stand at place {position} of {source}; count on from one batch to the next, so that it is "
            f"known which row was rejected",
        )


def _read(connector: Connector, cursor: Cursor, known: pa.Schema | None) -> list[Batch]:
    batches: list[Batch] = []
    for item in connector.read(cursor, known):
        if isinstance(item, Restart):
            batches.clear()
            continue
        check_batch(item)
        batches.append(item)
    return batches


def _check_reread(connector: Connector, schema: pa.Schema, cursor: Cursor) -> None:
    """Where it can read at a place, every second row is found where it stood."""
    places: dict[str, list[pa.Array]] = {}
    expected = []
    for batch in _read(connector, None, schema):
        rows = pa.array(range(0, batch.records.num_rows, 2), pa.int64())
        places.setdefault(batch.origin.source, []).append(batch.origin.at(rows))
        expected.append(batch.records.take(rows))
    if connector.unreadable(list(places), cursor):
        return
    wanted = {source: pa.concat_arrays(parts) for source, parts in places.items()}
    again = [item for item in connector.reread(wanted, cursor, schema) if isinstance(item, Batch)]
    for batch in again:
        check_batch(batch)
        require(batch.cursor is None, "what is read again carries no cursor")
    found = [batch.records for batch in again]
    require(
        _in_columns(found, schema) == _in_columns(expected, schema),
        "reread gave other rows than those that read had given at these places",
    )


def _in_columns(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    tables = [pa.Table.from_batches([batch]) for batch in batches if batch.num_rows]
    return pa.concat_tables([*tables, schema.empty_table()], promote_options="default").select(schema.names)


def _check_watch(connector: Connector, rows: int, cursor: Cursor) -> None:
    if not connector.watchable:
        return
    watched = connector.watch(None)
    require(bool(watched.items) >= bool(rows), f"watch found nothing where read found {rows} rows")
    require(connector.watch(None).key == watched.key, "the key changed and the source did not")
    if cursor is not None:
        items = connector.watch(cursor).items
        require(not items, f"watch still finds {items} items after the cursor of a whole read")


def _check_closing(connector: Connector, patience: float) -> None:
    """A reader that is given up leaves no thread behind."""
    before = set(threading.enumerate())
    reader = connector.read(None, None)
    next(reader, None)
    close = getattr(reader, "close", None)
    if close is not None:
        close()
    until = time.monotonic() + patience
    while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
        time.sleep(0.01)
    require(not left, f"a closed reader left threads behind: {', '.join(thread.name for thread in left)}")
