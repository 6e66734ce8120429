"""The contract of transformers."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from ingestion.plugins import REJECTED, Batch, Transformer
from ingestion.testing.contract import check_batch, check_configuration, counts, require, rows_of, schema_of

__all__ = ["check_transformer"]


def check_transformer(transformer: Transformer, batches: Sequence[Batch]) -> list[Batch]:
    """What *transformer* makes of *batches*, once it has kept the contract of `Transformer`.

    It is applied to the batches as they are, once more, and row by row; to a batch without rows, and to none.
    """
    check_configuration(transformer)
    for known in (None, schema_of(batches)):
        wanted = transformer.wants(known)
        require(
            wanted is None or isinstance(wanted, pa.Schema),
            f"wants({known}) gave {wanted!r}; it gives a schema or None",
        )
    done = _apply(transformer, batches)
    again = _apply(transformer, batches)
    single = _apply(transformer, [part for batch in batches for part in _row_by_row(batch)])
    require(counts(again) == counts(done), f"{counts(done)} at first, {counts(again)} again; nothing is remembered")
    require(counts(single) == counts(done), f"{counts(done)} as given, {counts(single)} row by row; cuts do not matter")
    require(
        schema_of(again) == schema_of(single) == schema_of(done), "columns or types depend on the cut, or on the run"
    )
    _check_news(transformer, batches)
    require(not rows_of(list(transformer.apply(iter(())))), "rows came from an empty stream")
    return done


def _apply(transformer: Transformer, batches: Sequence[Batch]) -> list[Batch]:
    done = []
    for batch in transformer.apply(iter(batches)):
        check_batch(batch)
        done.append(batch)
    before, after = rows_of(batches), rows_of(done)
    require(before == after, f"{before} rows came and {after} are accounted for; reject or count what is taken out")
    return done


def _check_news(transformer: Transformer, batches: Sequence[Batch]) -> None:
    """A batch without rows still carries all else that a batch may say; it comes out at the end."""
    row: dict[str, object] = {
        name: "contract" if REJECTED.field(name).type == pa.string() else None for name in REJECTED.names
    }
    row["position"] = 7
    news = Batch(
        batches[-1].records.slice(0, 0),
        batches[-1].origin.take(pa.array([], pa.int64())),
        pa.RecordBatch.from_pylist([row], REJECTED),
        {"contract": 3},
        {"contract": 7},
        11,
        {"contract: rule": 5},
    )
    done = _apply(transformer, [*batches, news])
    cursors = [batch.cursor for batch in done if batch.cursor is not None]
    rules = [rule for batch in done if batch.rejected for rule in batch.rejected["rule"].to_pylist()]
    kept = {
        "rejected rows": "contract" in rules,
        "removed": sum(batch.removed.get("contract", 0) for batch in done) == 3,
        "emptied": sum(batch.emptied.get("contract: rule", 0) for batch in done) == 5,
        "cursor": bool(cursors) and cursors[-1] == news.cursor,
        "bytes_read": sum(batch.bytes_read for batch in done) == sum(batch.bytes_read for batch in [*batches, news]),
    }
    lost = [name for name, held in kept.items() if not held]
    require(not lost, f"{', '.join(lost)} of an incoming batch without rows did not come out; pass them on")


def _row_by_row(batch: Batch) -> Iterator[Batch]:
    """The same in batches of one row; the first carries the news, the last the cursor."""
    count = batch.records.num_rows
    for row in range(count):
        part = batch._replace(records=batch.records.slice(row, 1), origin=batch.origin.take(pa.array([row])))
        if row:
            part = part._replace(rejected=None, removed={}, bytes_read=0, emptied={})
        yield part if row == count - 1 else part._replace(cursor=None)
    if not count:
        yield batch
