"""Rejected rows as a quarantine holds them: each with an id, and with marks of those that were brought anew."""

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.plugins import REJECTED, Load
from ingestion.secrets import redact_column

__all__ = ["QUARANTINED", "REPLAYS", "Stamp"]

REPLAYS = "replays"
"""The column of a quarantine that names, in a mark, the row that was brought anew; null in all other rows."""


def _plain(dtype: pa.DataType) -> pa.DataType:
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


QUARANTINED = pa.schema(
    [
        pa.field("id", pa.string()),
        *(item.with_type(_plain(item.type)) for item in REJECTED),
        pa.field("load_id", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("job", pa.string()),
        pa.field("config_hash", pa.string()),
        pa.field("quarantined_at", pa.timestamp("us", "UTC")),
    ]
)
"""What is told of a quarantined row."""

_STORED = QUARANTINED.append(pa.field(REPLAYS, pa.string()))
_TOLD = ("source", "reason")  # the columns of ours, beside the data
_TOGETHER = 1 << 16  # marks of one batch
_SCHEMAS = 16 << 20  # bytes of schemas of payloads in one batch


class Stamp:
    """Gives the rejected rows of one load their ids, and says which load of which job rejected them, and when."""

    def __init__(self, load: Load) -> None:
        if load.alone and load.replays is not None:
            raise ValueError("of two loads that bring the same rows anew only the job's state tells; none can be alone")
        self.count = 0  # rows that have got an id
        self._load = load
        texts = {"load_id": load.load_id, "run_id": load.run_id, "job": load.job, "config_hash": load.config_hash}
        self._same = {name: pa.scalar(value, pa.string()) for name, value in texts.items()}
        self._same["quarantined_at"] = pa.scalar(datetime.now(timezone.utc), pa.timestamp("us", "UTC"))

    @property
    def idle(self) -> bool:
        """Whether there are no rows so far, and no marks to come."""
        return not self.count and not self._replays

    @property
    def _replays(self) -> int:
        return len(self._load.replays) if self._load.replays is not None else 0

    def rows(self, rejected: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """*rejected*, of schema REJECTED, as a quarantine holds it: with ids from 1, and told without secrets.

        Each row has the schema of its payload there, so that many with wide ones come bit by bit.
        """
        longest = pc.max(pc.binary_length(rejected["payload_schema"].dictionary)).as_py() or 1
        step = max(1, _SCHEMAS // longest)
        for start in range(0, max(rejected.num_rows, 1), step):
            yield self._rows(rejected.slice(start, step))

    def _rows(self, rejected: pa.RecordBatch) -> pa.RecordBatch:
        numbers = pa.array(range(self.count + 1, self.count + rejected.num_rows + 1), pa.int64())
        self.count += rejected.num_rows
        ids = pc.binary_join_element_wise(self._load.load_id, pc.cast(numbers, pa.string()), "-")
        shown = {name: redact_column(rejected[name]) for name in _TOLD}
        return self._stored(rejected.num_rows, {"id": ids, **_columns(rejected), **shown})

    def marks(self) -> Iterator[pa.RecordBatch]:
        """For each row that the load brings anew one that says so: the row is gone once this one has landed."""
        if not self._replays:
            return
        ids = pc.unique(self._load.replays)
        texts = {"stage": "replay", "rule": "replayed", "reason": f"brought anew by run {self._load.run_id}"}
        for start in range(0, len(ids), _TOGETHER):
            part = ids.slice(start, _TOGETHER)
            same = {name: pa.repeat(text, len(part)) for name, text in {**texts, "source": "", "payload": "{}"}.items()}
            yield self._stored(len(part), {**same, REPLAYS: part})

    def _stored(self, count: int, own: dict[str, Any]) -> pa.RecordBatch:
        stamps = {name: pa.repeat(value, count) for name, value in self._same.items()}
        given = {**own, **stamps}
        columns = [given[item.name] if item.name in given else pa.nulls(count, item.type) for item in _STORED]
        return pa.RecordBatch.from_arrays(columns, schema=_STORED)


def _columns(records: pa.RecordBatch) -> dict[str, Any]:
    return {name: pc.cast(records[name], _plain(records[name].type)) for name in records.schema.names}
