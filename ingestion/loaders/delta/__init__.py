"""Delta Lake: rows and the job's cursor land in one version of the table, exactly once."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from pydantic import BeforeValidator, field_validator, model_validator
from typing_extensions import Self

from ingestion import settings
from ingestion.errors import ConfigError
from ingestion.loaders.tables import TableLoader
from ingestion.loaders.tables.values import FileSize, Property
from ingestion.plugins import Batch, Landed, Load, LoadResult, Part, RolledBack, State

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import polars as pl
    from deltalake import DeltaTable

    from ingestion.loaders.delta.place import Place
    from ingestion.loaders.tables.comparing import Trial

__all__ = ["DeltaLoader"]

_NAME = re.compile(r"[^\s/\\._][^/\\.]*")


def _column(value: Any) -> Any:
    """A partition column, which may be spelled as one with a transform that changes nothing."""
    if not isinstance(value, dict):
        return value
    if value.get("transform", "identity") != "identity":
        raise ValueError(
            f"a Delta table is partitioned by the values of its columns, not by {value['transform']}; "
            f"make a column of it in the transformer and name that"
        )
    return value.get("column")


class DeltaLoader(TableLoader):
    """Writes Parquet files and adds them to the table's log in one version, together with the job's cursor.

    Texts stand for times of day and UUIDs, which Delta does not have. A column that becomes wider has all files of the
    table written again, in the same version. New columns of a merge are added in a version of their own, just before.
    """

    type: Literal["delta"] = "delta"
    """Loads into a Delta Lake table."""
    location: str | None = None
    """The folder that holds databases and tables, such as s3://bucket/lake; the folder delta below METADATA_PATH
    where it is not given."""
    storage_options: dict[str, Property] = {}
    """Address and credentials of the object store, as delta-rs names them: AWS_ENDPOINT_URL, AWS_REGION, ..."""
    partition_by: list[Annotated[str, BeforeValidator(_column, json_schema_input_type=str | dict[str, str])]] = []
    """Columns by whose values a new table's files are kept apart, in folders such as day=2024-05-01; none of bytes, and
    an empty text is null there, and no key for a merge."""
    overwrite_scope: Literal["table", "partitions"] = "table"
    """What write_mode overwrite replaces: the whole table, or the partitions that the rows are in. A row that
    delete_column deletes is in none: a partition with no other row in the load stays as it is."""
    target_file_size: FileSize = 128 << 20
    """A data file is closed once it has this many bytes; a number, or text such as 128 MiB."""
    table_properties: dict[str, Property] = {}
    """Delta table properties such as delta.logRetentionDuration; where the table has them otherwise, they are set in
    a version of their own."""

    @field_validator("database", "table")
    @classmethod
    def _nameable(cls, value: str) -> str:
        parts = value.split(".") if value else []
        if not all(_NAME.fullmatch(part) for part in parts):
            raise ValueError(f"{value!r} cannot name a folder; use letters, digits, _ and -, and no _ at the start")
        return value

    @model_validator(mode="after")
    def _scope_is_of_an_overwrite(self) -> Self:
        if self.overwrite_scope == "partitions" and self.write_mode != "overwrite":
            raise ValueError("overwrite_scope is about write_mode overwrite; set that, or leave overwrite_scope out")
        return self

    @model_validator(mode="after")
    def _columns_keep_their_names(self) -> Self:
        for new, old in self.rename_from.items():
            raise ValueError(
                f"rename_from: column {old!r} cannot become {new!r}, as the files of a Delta table without column "
                f"mapping know their columns by name; name it {old!r} by transformer.column_mapping, or load into "
                f"another table"
            )
        return self

    @property
    def replaces_all(self) -> bool:
        """Where the whole table is overwritten, or missing rows are deleted."""
        return super().replaces_all and (self.write_mode != "overwrite" or self.overwrite_scope == "table")

    def stored_type(self, dtype: pa.DataType, column: str) -> pa.DataType:
        """Texts stand for times of day and UUIDs."""
        from ingestion.loaders.delta.types import DELTA

        return DELTA.plain(dtype, column)

    def admit(self, batches: Iterator[Batch], known: pa.Schema | None) -> Iterator[Batch]:
        """As every table does; an empty text is no key in a column that makes partitions."""
        from ingestion.loaders.delta.partitions import without_empty_keys

        if self.merge_keys:
            there = self._opened().metadata().partition_columns if known is not None and self.table else []
            by = self.partition_by or there
            batches = without_empty_keys(batches, [key for key in self.merge_keys if key in by])
        return super().admit(batches, known)

    def target(self, job: str) -> tuple[str, ...]:
        """Type and folder, and the store that it is in."""
        place = self.place(job)
        return (self.type, place.uri, *(f"{name}={value}" for name, value in sorted(place.options.items())))

    def name(self, job: str = "") -> str:
        """Database and table; the table is named after the *job* where no name is given."""
        if not (self.table or job):
            raise ConfigError("loader.table is not given; name the table")
        return f"{self.database}.{self.table or job}"

    def place(self, job: str = "") -> "Place":
        """The table's folder."""
        from ingestion.loaders.delta.place import Place

        own = settings.current()
        root = own.absolute(self.location) if self.location else str(own.metadata_path / "delta")
        return Place("/".join([root.rstrip("/"), *self.name(job).split(".")]), self.storage_options)

    def state(self, job: str) -> State:
        """The job's cursor and newest load as the table's present version has them, and the table's columns."""
        from ingestion.loaders.delta.columns import columns_of
        from ingestion.loaders.delta.jobs import entry_of, restored
        from ingestion.loaders.delta.place import translated

        place = self.place(job)
        with translated(f"table {self.name(job)}"):
            table = place.open()
            if table is None:
                return State()
            entry = entry_of(place, table, job)
            return State(restored(place, entry), entry.load_id, columns_of(table))

    def trial(self, job: str) -> "AbstractContextManager[Trial]":
        """The table of *job*, to try on it what a load would do; nothing is created."""
        from ingestion.loaders.delta.trying import trial_of

        return trial_of(self, job)

    def load(self, load: Load, batches: Iterator[Batch]) -> LoadResult:
        """Land everything in one version of the table, which is created where it does not exist."""
        from ingestion.loaders.delta.loading import Loading
        from ingestion.loaders.delta.place import translated

        with translated(f"table {self.name(load.job)}"):
            loading = Loading(self, load)
        return loading.run(batches)

    def history(self, job: str) -> list[Landed]:
        """The loads that the table's log still tells of, newest first."""
        from ingestion.loaders.delta.history import landed
        from ingestion.loaders.delta.place import translated

        with translated(f"table {self.name(job)}"):
            return landed(self.place(job), self._opened(job))

    def quarantined(self, job: str) -> Iterator[pa.RecordBatch]:
        """The rejected rows of the loads that are in the table's present version, less those brought anew since.

        Of loads that are older than the table's log all rows count.
        """
        from ingestion.loaders.delta.place import translated
        from ingestion.loaders.delta.quarantined import quarantined

        with translated(f"table {self.name(job)}__quarantine"):
            yield from quarantined(self.place(job), self.name(job), job)

    def rollback(self, job: str, run_id: str) -> RolledBack:
        """Restore the table to the version before that run, cursor included, in one version."""
        from ingestion.loaders.delta.history import rolled_back
        from ingestion.loaders.delta.place import translated

        with translated(f"table {self.name(job)}"):
            return rolled_back(self.place(job), self._opened(job), job, run_id, self.name(job))

    def upkeep(self, job: str) -> dict[str, int]:
        """Join small files, remove files and log entries that are older than a week and need not be kept."""
        from ingestion.loaders.delta.place import translated
        from ingestion.loaders.delta.quarantine import beside
        from ingestion.loaders.delta.upkeep import kept_up

        done: dict[str, int] = {}
        for place in (self.place(job), beside(self.place(job))):
            with translated(f"table {place.uri}"):
                table = place.open()
                if table is not None:
                    for what, count in kept_up(place, table, self.target_file_size).items():
                        done[what] = done.get(what, 0) + count
        return done

    def scan(self, parts: Sequence[Part] = ()) -> "pl.LazyFrame":
        """The table, or the rows in all of *parts*, as a lazy polars frame."""
        import polars as pl

        from ingestion.loaders.delta.columns import columns_of
        from ingestion.loaders.tables.parts import only

        table = self._opened()
        # Polars' own reader takes the values of partitions from the names of folders, which nothing obliges to exist.
        frame = pl.scan_delta(table, use_pyarrow=bool(table.metadata().partition_columns))
        return only(parts, frame, columns_of(table))

    def to_table(self) -> pa.Table:
        """The whole table in memory."""
        return self.reader().read_all()

    def reader(self) -> pa.RecordBatchReader:
        """The table batch by batch."""
        from ingestion.loaders.delta.columns import columns_of
        from ingestion.loaders.delta.files import read

        table = self._opened()
        columns = columns_of(table)
        return pa.RecordBatchReader.from_batches(columns, read(table, columns, f"table {self.name()}"))

    def first_rows(self, count: int) -> pa.Table:
        """Some *count* rows, for people to look at."""
        rows: list[pa.RecordBatch] = []
        reader = self.reader()
        for batch in reader:
            rows.append(batch.slice(0, count))
            count -= rows[-1].num_rows
            if count <= 0:
                break
        return pa.Table.from_batches(rows, reader.schema)

    def _opened(self, job: str = "") -> "DeltaTable":
        from ingestion.loaders.delta.place import translated

        name = self.name(job)
        with translated(f"table {name}"):
            table = self.place(job).open()
        if table is None:
            raise ConfigError(f"table {name} does not exist yet; run its job first")
        return table
