"""Apache Iceberg: rows and the job's cursor land in one snapshot, exactly once."""

import re
import warnings
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from pydantic import BeforeValidator, ConfigDict, field_validator, model_validator
from typing_extensions import Self

from ingestion.errors import ConfigError
from ingestion.loaders.iceberg.partitions import FieldInput, PartitionField, as_field
from ingestion.loaders.iceberg.sorting import SortField, SortInput, as_sort_field
from ingestion.loaders.iceberg.upkeep import UpkeepOptions
from ingestion.loaders.tables import TableLoader
from ingestion.loaders.tables.values import FileSize, Property
from ingestion.plugins import Batch, Landed, Load, Loader, LoadResult, Model, Part, RolledBack, State
from ingestion.secrets import has_placeholder

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import polars as pl
    from pyiceberg.table import Table

    from ingestion.loaders.tables.comparing import Trial

__all__ = ["CATALOG_TYPES", "CatalogOptions", "IcebergLoader", "PartitionField"]

_NAME = re.compile(r"[^\s/\\.][^/\\.]*")
_STORES = ("s3.", "adls.", "gcs.", "hdfs.")
CATALOG_TYPES = ("bigquery", "dynamodb", "glue", "hive", "in-memory", "rest", "sql")
"""What pyiceberg opens by name."""
_BREAKS_HISTORY = "write.metadata.delete-after-commit.enabled"


class CatalogOptions(Model):
    """Where the catalog is; further keys are pyiceberg's own and go to it unchanged."""

    model_config = ConfigDict(extra="allow")

    type: str | None = None
    """sql, rest, glue, hive, ...; ICEBERG_CATALOG_TYPE where neither type nor uri is given."""
    uri: str | None = None
    """The catalog's address; ICEBERG_CATALOG_URI where neither type nor uri is given."""
    warehouse: str | None = None
    """Where tables are created; ICEBERG_WAREHOUSE_LOCATION for a SQL catalog that names none."""
    name: str | None = None
    """The catalog's name, by which a SQL catalog keeps tables apart; ICEBERG_CATALOG_NAME where it is not given."""

    @model_validator(mode="after")
    def _type_is_known(self) -> Self:
        own = "py-catalog-impl" in (self.model_extra or {})
        if self.type is None or own or has_placeholder(self.type) or self.type.lower() in CATALOG_TYPES:
            return self
        raise ValueError(
            f"unknown catalog type {self.type!r}; known types: {', '.join(CATALOG_TYPES)}. A class of your own goes "
            f"into py-catalog-impl, without a type"
        )


class IcebergLoader(TableLoader):
    """Writes Parquet files while the source is still being read, and commits them in one snapshot."""

    type: Literal["iceberg"] = "iceberg"
    """Loads into an Apache Iceberg table."""
    merge_strategy: Literal["auto", "copy_on_write", "merge_on_read"] = "auto"
    """How a merge replaces rows: copy_on_write writes the files anew in which they are, merge_on_read marks them as
    deleted in files beside those, which costs each reader a little, auto does what costs less in the long run."""
    overwrite_scope: Literal["table", "partitions"] = "table"
    """What write_mode overwrite replaces: the whole table, or exactly those partitions that the new rows fall into.
    Rows that another job commits to these before this load does are replaced too. A row that delete_column deletes
    falls into none: a partition with no other row in the load stays as it is."""
    partition_by: list[Annotated[PartitionField, BeforeValidator(as_field, json_schema_input_type=FieldInput)]] = []
    """Columns, or {column, transform}, by which the table's files are kept apart. Another value than the table has
    changes it for files written from now on, [] to none; left out, the table stays as it is."""
    sort_by: list[Annotated[SortField, BeforeValidator(as_sort_field, json_schema_input_type=SortInput)]] = []
    """Columns, or {column, direction, nulls}, by which the rows of each file are sorted, nulls first where ascending
    unless it says otherwise. Rows wait in the temporary folder meanwhile where there are many."""
    target_file_size: FileSize = 512 << 20
    """A data file is closed once it has this many bytes; a number, or text such as 512 MiB."""
    table_properties: dict[str, Property] = {}
    """Iceberg table properties, set by the next commit where the table has them otherwise."""
    maintenance: UpkeepOptions = UpkeepOptions()
    """What upkeep does to the table, and how much of its past it keeps."""
    catalog: CatalogOptions = CatalogOptions()
    """The catalog; by default the embedded one under the metadata folder, or that of the ICEBERG_* settings."""

    @field_validator("database", "table")
    @classmethod
    def _nameable(cls, value: str) -> str:
        parts = value.split(".") if value else []
        if not all(_NAME.fullmatch(part) for part in parts):
            raise ValueError(f"{value!r} cannot name a table or namespace; use letters, digits, _ and -")
        return value

    @field_validator("table_properties")
    @classmethod
    def _keeps_history(cls, value: dict[str, str]) -> dict[str, str]:
        if value.get(_BREAKS_HISTORY, "false").lower() == "true":
            raise ValueError(
                f"{_BREAKS_HISTORY} deletes the history that a job's cursor may have to be read from; leave it out"
            )
        return value

    @model_validator(mode="after")
    def _scope_and_mode_agree(self) -> Self:
        if self.overwrite_scope == "partitions" and self.write_mode != "overwrite":
            raise ValueError("overwrite_scope is about write_mode overwrite; set that, or leave overwrite_scope out")
        return self

    @property
    def replaces_all(self) -> bool:
        """Where the whole table is overwritten, or missing rows are deleted."""
        return super().replaces_all and (self.overwrite_scope == "table" or self.delete_missing != "none")

    def identifier(self, job: str = "") -> tuple[str, ...]:
        """Namespace and table; the table is named after the *job* where no name is given."""
        if not (self.table or job):
            raise ConfigError("loader.table is not given; name the table")
        return (*self.database.split("."), self.table or job)

    def state(self, job: str) -> State:
        """The job's cursor and newest load as the table's present history has them, and the table's columns."""
        from ingestion.loaders.iceberg.catalog import asked
        from ingestion.loaders.iceberg.cursors import restored
        from ingestion.loaders.iceberg.history import entry_of
        from ingestion.loaders.iceberg.names import renamed
        from ingestion.loaders.iceberg.types import file_schema

        identifier = self.identifier(job)
        with asked(self._catalog_options(), identifier) as table:
            if table is None:
                return State()
            entry = entry_of(table.metadata, job, table.io)
            schema = renamed(file_schema(table.schema(), field_ids=False), self.rename_from, ".".join(identifier))
            return State(restored(entry.cursor, table.io), entry.load_id, schema)

    def trial(self, job: str) -> "AbstractContextManager[Trial]":
        """The table of *job*, to try on it what a load would do; nothing is created."""
        from ingestion.loaders.iceberg.trying import trial_of

        return trial_of(self, job)

    def load(self, load: Load, batches: Iterator[Batch]) -> LoadResult:
        """Land everything in one snapshot of the table, which is created where it does not exist."""
        from ingestion.loaders.iceberg.catalog import opened, translated
        from ingestion.loaders.iceberg.loading import Loading

        with opened(self._catalog_options()) as catalog:
            with translated(f"table {'.'.join(self.identifier(load.job))}"):
                loading = Loading(self, catalog, load)
            return loading.run(batches)

    def target(self, job: str) -> tuple[str, ...]:
        """Type, catalog and identifier."""
        from ingestion.loaders.iceberg.catalog import catalog_properties

        name, options = catalog_properties(self._catalog_options())
        return (self.type, name, *map(str, sorted(options.items())), *self.identifier(job))

    def history(self, job: str) -> list[Landed]:
        """The loads of every job that the table's present rows come from, as far as their snapshots are kept."""
        from ingestion.loaders.iceberg.landed import landed

        return list(landed(self._opened_table(job).metadata))

    def quarantined(self, job: str) -> Iterator[pa.RecordBatch]:
        """The rejected rows of loads that landed, or are older than the kept snapshots, less those brought anew."""
        from ingestion.loaders.iceberg.catalog import opened, translated
        from ingestion.loaders.iceberg.quarantined import quarantined

        identifier = self.identifier(job)
        with opened(self._catalog_options()) as catalog, translated(f"table {'.'.join(identifier)}__quarantine"):
            yield from quarantined(catalog, identifier, job)

    def rollback(self, job: str, run_id: str) -> RolledBack:
        """Make the table what it was before that run; later runs of *job* are undone with it, its columns stay.

        Raises ConfigError where commits of others would be lost, or the snapshot before the run has expired.
        """
        from ingestion.loaders.iceberg.catalog import opened, translated
        from ingestion.loaders.iceberg.rollback import Rollback

        identifier = self.identifier(job)
        with opened(self._catalog_options()) as catalog, translated(f"table {'.'.join(identifier)}"):
            return Rollback(catalog, identifier, job, run_id).run()

    def careful(self, others: Sequence[Loader]) -> Self:
        """The same loader, whose maintenance keeps as much as that of any of *others*, and leaves off what one does."""
        care = [item.maintenance for item in others if isinstance(item, IcebergLoader)]
        return self.model_copy(update={"maintenance": reduce(UpkeepOptions.careful, care, self.maintenance)})

    def upkeep(self, job: str) -> dict[str, int]:
        """Compact small and worn files, merge manifests, expire old snapshots and remove what nothing refers to.

        Loads that land meanwhile go first, and every snapshot that is left reads as before.
        """
        from ingestion.loaders.iceberg.catalog import opened, translated
        from ingestion.loaders.iceberg.upkeep.steps import look_after

        if not self.maintenance.enabled:
            return {}
        identifier = self.identifier(job)
        with opened(self._catalog_options()) as catalog, translated(f"table {'.'.join(identifier)}"):
            return look_after(catalog, identifier, self)

    def scan(self, parts: Sequence[Part] = ()) -> "pl.LazyFrame":
        """The table, or the rows in all of *parts*, as a lazy polars frame."""
        import polars as pl

        from ingestion.loaders.iceberg.types import file_schema
        from ingestion.loaders.tables.parts import only

        # Its advice to install another planner is for whoever builds the environment, not for each reader.
        warnings.filterwarnings("ignore", message="Iceberg scan planning")
        table = self._opened_table()
        # Polars asks nobody but its caller how the object store is reached.
        storage = {key: value for key, value in table.io.properties.items() if key.startswith(_STORES)}
        columns = file_schema(table.schema(), field_ids=False)
        return only(parts, pl.scan_iceberg(table, storage_options=storage or None), columns)

    def to_table(self) -> pa.Table:
        """The whole table in memory."""
        return self._opened_table().scan().to_arrow()

    def reader(self) -> pa.RecordBatchReader:
        """The table batch by batch."""
        return self._opened_table().scan().to_arrow_batch_reader()

    def first_rows(self, count: int) -> pa.Table:
        """Some *count* rows, for people to look at."""
        return self.scan().head(count).collect().to_arrow()

    def _opened_table(self, job: str = "") -> "Table":
        from ingestion.loaders.iceberg.catalog import find_table, opened, translated

        identifier = self.identifier(job)
        name = ".".join(identifier)
        with opened(self._catalog_options()) as catalog, translated(f"table {name}"):
            table = find_table(catalog, identifier)
        if table is None:
            raise ConfigError(f"table {name} does not exist yet; run its job first")
        return table

    def _catalog_options(self) -> dict[str, Any]:
        return self.catalog.model_dump(exclude_none=True)
