"""The option that keeps one row of each key."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import Field

from ingestion.errors import ConfigError
from ingestion.keyed.digests import is_keyable
from ingestion.keyed.disk import waiting_on_disk
from ingestion.keyed.kinds import KeyKinds
from ingestion.keyed.seen import SeenKeys
from ingestion.keyed.waiting import WaitingBatches
from ingestion.model import Names
from ingestion.plugins import Batch, Model
from ingestion.transformers.steps import Step, kept, require_column

if TYPE_CHECKING:
    from ingestion.keyed.winners import Winners

__all__ = ["Deduplicate", "Deduplicating"]

_DEDUPLICATE = "deduplicate"
_WHAT = "transformer.deduplicate"
_KEYS = f"{_WHAT}.keys"


class Deduplicate(Model):
    """What makes rows the same, and which of them stays."""

    keys: Names = Field(min_length=1)
    """The column or columns that are equal in rows of which one stays; null is equal to null."""
    order_by: Names = []
    """The column or columns of which the row with the greatest value stays, null being the least, and the later of
    equal ones. Without it the first row stays."""


class Deduplicating(Model):
    """Keeps one row of each key."""

    deduplicate: Deduplicate | None = None
    """Keep one row of each key within the load: {keys: [...], order_by: [...]}; the others are counted as removed."""

    def deduplicating_steps(self) -> Iterator[Step]:
        """The removal of rows whose key comes again, where it is asked for."""
        if self.deduplicate and self.deduplicate.order_by:
            yield _KeepGreatest(self.deduplicate)
        elif self.deduplicate:
            yield _KeepFirst(self.deduplicate)

    def deduplicating_contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        for option in ("keys", "order_by") if self.deduplicate else ():
            names = getattr(self.deduplicate, option)
            for name in sorted({name for name in names if names.count(name) > 1}):
                yield f"deduplicate.{option}: column {name!r} is named {names.count(name)} times; name it once"


class _KeepFirst(Step):
    """Rows pass as they come; only their keys are remembered."""

    def __init__(self, options: Deduplicate) -> None:
        self._keys = options.keys

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield each batch without the rows whose key came before."""
        kinds = KeyKinds(_KEYS)
        with closing(SeenKeys()) as seen:
            for batch in batches:
                if not batch.records.num_rows:
                    yield batch
                    continue
                keys = _columns(batch, "keys", self._keys)
                kinds.agree(keys.schema)
                with waiting_on_disk(_WHAT):
                    fresh = seen.fresh(keys)
                yield kept(batch, fresh, _DEDUPLICATE)


class _KeepGreatest(Step):
    """All rows wait on disk until it is known which of them stay; their news go ahead, and the cursor comes last."""

    def __init__(self, options: Deduplicate) -> None:
        self._keys = options.keys
        self._order_by = options.order_by
        self._kinds = KeyKinds(_KEYS)

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the rows that stay once the last batch was seen; raises TransientError where the disk is full."""
        from ingestion.keyed.winners import Winners  # it brings polars

        with waiting_on_disk(_WHAT):
            waiting = WaitingBatches()
        with closing(waiting), closing(Winners(self._order_by)) as winners:
            last: Batch | None = None
            for batch in batches:
                self._take(batch, waiting, winners)
                cursor = last.cursor if last is not None and batch.cursor is None else batch.cursor
                last = _without_rows(batch)._replace(cursor=cursor)
                yield last._replace(cursor=None)
            with waiting_on_disk(_WHAT):
                winners.decide()
            yield from _staying(waiting, winners)
            if last is not None:
                yield Batch(last.records, last.origin, cursor=last.cursor)

    def _take(self, batch: Batch, waiting: WaitingBatches, winners: "Winners") -> None:
        if not batch.records.num_rows:
            return
        keys = _columns(batch, "keys", self._keys)
        values = _columns(batch, "order_by", self._order_by)
        self._kinds.agree(keys.schema)
        with waiting_on_disk(_WHAT):
            winners.add(keys, values)
            waiting.write(batch)


def _staying(waiting: WaitingBatches, winners: "Winners") -> Iterator[Batch]:
    first = 0
    batches = waiting.read()
    while True:
        with waiting_on_disk(_WHAT):
            batch = next(batches, None)
        if batch is None:
            return
        yield kept(batch, winners.among(first, batch.records.num_rows), _DEDUPLICATE)
        first += batch.records.num_rows


def _columns(batch: Batch, option: str, names: Sequence[str]) -> pa.RecordBatch:
    """These columns of the batch; raises ConfigError for one that it lacks, or that holds no single values."""
    for name in names:
        require_column(name, f"deduplicate.{option}", batch.records.schema.names)
        dtype = batch.records.schema.field(name).type
        if not is_keyable(dtype) or (option == "order_by" and pa.types.is_decimal256(dtype)):  # which polars lacks
            raise ConfigError(
                f"transformer.deduplicate.{option}: column {name!r} has values of type {dtype}, which cannot be "
                f"compared; flatten or explode it, or name another column"
            )
    return batch.records.select(names)


def _without_rows(batch: Batch) -> Batch:
    return batch._replace(records=batch.records.slice(0, 0), origin=batch.origin.take(pa.array([], pa.int64())))
