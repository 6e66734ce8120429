"""Assets of any code location and their tables: which table an asset has, and how its rows land there."""

import hashlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import ValidationError

from ingestion.accounting import counted_in, counted_out
from ingestion.config import InvalidConfig, explain
from ingestion.config.merging import deep_merge
from ingestion.errors import ConfigError
from ingestion.loaders import LoaderFactory
from ingestion.loaders.tables import TableLoader
from ingestion.loaders.tables.parts import without_strays
from ingestion.pipeline import record, stamped
from ingestion.plugins import Batch, Load, Loader, Origin, Part, State
from ingestion.report import RunReport

__all__ = ["Landing", "check_options", "loader_of", "readable"]

_ROWS_SHOWN = 10
_DEFAULTS = {"write_mode": "overwrite", "add_ingestion_metadata": False}  # an asset stands for all rows of its table


def check_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raises ConfigError that says what is wrong with the options of a loader of type *kind*."""
    _loader(kind, options)


def loader_of(kind: str, options: Mapping[str, Any], key: dg.AssetKey, metadata: Mapping[str, Any]) -> TableLoader:
    """The loader of an asset's table: its own metadata over the *options* of all assets over what its key says."""
    *prefix, name = key.path
    own = _plain(metadata.get("loader") or {})
    if not isinstance(own, Mapping):
        raise ConfigError(f"asset {key.to_user_string()}: the metadata 'loader' should be a mapping, not {own!r}")
    by_key = {"table": name, **({"database": "_".join(prefix)} if prefix else {})}
    loader = _loader(kind, deep_merge(deep_merge(by_key, options), own), f"asset {key.to_user_string()}: ")
    try:
        return loader.resolved("loader")
    except ValidationError as error:
        raise _explained(error, loader.as_written(), "") from None


def readable(loader: Loader) -> TableLoader:
    """*loader* as one whose table can be read; raises ConfigError where it cannot."""
    if not isinstance(loader, TableLoader):
        raise ConfigError(f"loader type {loader.type!r} cannot be read by a downstream asset; open its table there")
    return loader


def _loader(kind: str, options: Mapping[str, Any], where: str = "") -> TableLoader:
    written = {**_DEFAULTS, **options}
    try:
        loader = LoaderFactory.create({**written, "type": options.get("type", kind)})
    except ValidationError as error:
        raise _explained(error, written, where) from None
    return readable(loader)


def _explained(error: ValidationError, options: Mapping[str, Any], where: str) -> InvalidConfig:
    problems = explain(error, options)
    return InvalidConfig("\n".join(f"{where}loader.{problem}" for problem in problems), problems)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, dg.MetadataValue) else value


@dataclass(frozen=True)
class Landing:
    """One output of an asset on its way into its table."""

    loader: TableLoader
    asset: str
    run_id: str
    parts: Sequence[Part]  # of a partitioned asset

    effort: str = ""  # what tries of the same work have in common; the run where it is not given

    max_bad_rows: int | None = None
    max_bad_ratio: float = 0.05

    def land(self, rows: Iterator[pa.RecordBatch]) -> tuple[RunReport, pa.RecordBatch | None]:
        """Land *rows* in one commit, or find that another try has landed them; what was done, and the first rows."""
        once = self._once()
        report = RunReport(self.asset, self.run_id, once + uuid.uuid4().hex, datetime.now(timezone.utc))
        first: list[pa.RecordBatch] = []
        started = time.perf_counter()
        state = self.loader.state(self.asset)
        replaced = self._replaced()
        load = Load(self.asset, self.run_id, report.load_id, State(), replaces=replaced, alone=True, once=once)
        result = self.loader.load(load, self._stages(rows, state.schema, report, first))
        record(report, result, time.perf_counter() - started)
        return report, first[0] if first else None

    def _once(self) -> str:
        """What a load id begins with, so that a try after a lost reply finds what landed.

        Only appended rows would be there twice; to overwrite or merge again lands what the newest try has.
        """
        if self.loader.write_mode != "append":
            return ""
        said = repr((self.effort or self.run_id, self.asset, self.parts))
        return f"{hashlib.sha256(said.encode()).hexdigest()[:32]}-"

    def _replaced(self) -> tuple[Part, ...]:
        """Merging and appending are asked for in so many words, and do as they always do."""
        return tuple(self.parts) if self.loader.write_mode == "overwrite" else ()

    def _stages(
        self, rows: Iterator[pa.RecordBatch], known: pa.Schema | None, report: RunReport, first: list[pa.RecordBatch]
    ) -> Iterator[Batch]:
        batches = (Batch(records, Origin(self.asset)) for records in _noted(rows, first))
        kept = without_strays(counted_in(batches, report), self._replaced())
        counted = counted_out(self.loader.admit(kept, known), report, self)
        yield from stamped(counted, report) if self.loader.add_ingestion_metadata else counted


def _noted(rows: Iterator[pa.RecordBatch], first: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for records in rows:
        if not first and records.num_rows:
            first.append(records.take(pa.array(range(min(records.num_rows, _ROWS_SHOWN)))))
        yield records
