"""PostgreSQL: rows, rejected rows and the job's cursor land in one transaction, exactly once."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from ingestion.errors import ConfigError
from ingestion.loaders.tables import TableLoader
from ingestion.plugins import Batch, Landed, Load, LoadResult, Part, RolledBack, State

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import polars as pl

    from ingestion.loaders.tables.comparing import Trial

__all__ = ["PostgresLoader"]

_LONGEST = 63  # bytes; PostgreSQL cuts longer names off
_SUFFIX = "__quarantine"

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class PostgresLoader(TableLoader):
    """Copies rows to the server while the source is still being read, and commits them with the cursor."""

    type: Literal["postgres"] = "postgres"
    """Loads into a table of a PostgreSQL server, version 13 or later. Its exact types: numeric for decimals, jsonb for
    structs, lists and maps (decimals within them as text), uuid, bytea, time and timestamps to the microsecond."""
    host: str = "localhost"
    """The server's name or address, or the folder of its socket."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    """The server's port."""
    username: str | None = None
    """Who logs in; the system's user where it is not given."""
    password: str | None = None
    """The password, as ${NAME}; libpq's own ways (.pgpass, certificates) where it is not given."""
    dbname: str = "postgres"
    """The server's database; the option database names the schema in it."""
    on_conflict: Literal["update", "nothing"] = "update"
    """What a merge does with a row whose key the table has: update puts it in place of that one, nothing leaves the
    table's row as it is."""
    create_schema_if_not_exists: bool = True
    """Create the schema that database names; without it a missing one is an error."""
    connect_timeout: Annotated[int, Field(ge=1)] = 10
    """Seconds to wait for the server."""
    ssl_mode: SslMode | None = None
    """libpq's sslmode: how the connection is encrypted and the server's certificate is checked."""
    connection_params: dict[str, str | int] = {}
    """Further connection parameters under libpq's names, such as sslrootcert or target_session_attrs."""

    @field_validator("database", "table")
    @classmethod
    def _nameable(cls, value: str) -> str:
        longest = _LONGEST - len(_SUFFIX)  # the quarantine table's name is longer by that
        if len(value.encode()) > longest or "\0" in value:
            raise ValueError(f"{value!r} is longer than {longest} bytes, so that names would be cut off; shorten it")
        return value

    def identifier(self, job: str = "") -> tuple[str, str]:
        """Schema and table; the table is named after the *job* where no name is given."""
        if not (self.table or job):
            raise ConfigError("loader.table is not given; name the table")
        return self.database, self.table or job

    def stored_type(self, dtype: pa.DataType, column: str) -> pa.DataType:
        """The type in which the table holds values of *dtype*; nested ones are JSON text to everybody else."""
        from ingestion.loaders.postgres.types import known, plain

        kind = plain(dtype, column)
        return dtype if kind is None else known(kind)

    def admit(self, batches: Iterator[Batch], known: pa.Schema | None) -> Iterator[Batch]:
        """The stream without rows that the contract or the server refuses, such as texts with a NUL character."""
        from ingestion.loaders.postgres.refusing import without_refused

        return without_refused(super().admit(batches, known))

    def state(self, job: str) -> State:
        """The job's cursor and newest load, and the table's columns; nothing where the table does not exist."""
        from ingestion.loaders.postgres.history import History
        from ingestion.loaders.postgres.plan import renames
        from ingestion.loaders.postgres.session import opened
        from ingestion.loaders.postgres.table import find

        table = self.identifier(job)
        what = ".".join(table)
        with opened(self, f"table {what}") as session:
            found = find(session, *table)
            if found is None:
                return State()
            schema = found.renamed(renames(found, self.rename_from, what)).schema
            history = History(session, table)
            if not history.exists():
                return State(schema=schema)
            return State(history.cursor(job), history.newest(job), schema)

    def trial(self, job: str) -> "AbstractContextManager[Trial]":
        """The table of *job*, to try on it what a load would do; nothing is created."""
        from ingestion.loaders.postgres.trying import trial_of

        return trial_of(self, job)

    def load(self, load: Load, batches: Iterator[Batch]) -> LoadResult:
        """Land everything in one transaction; the table is created where it does not exist."""
        from ingestion.loaders.postgres.loading import loaded

        return loaded(self, load, batches)

    def history(self, job: str) -> list[Landed]:
        """The loads of every job into the table of *job*, newest first."""
        from ingestion.loaders.postgres.undoing import landed

        return landed(self, job)

    def quarantined(self, job: str) -> Iterator[pa.RecordBatch]:
        """The rejected rows of the loads that count, less those brought anew since."""
        from ingestion.loaders.postgres.quarantined import quarantined

        return quarantined(self, job)

    def rollback(self, job: str, run_id: str) -> RolledBack:
        """Delete the rows that this and later runs of *job* appended; the cursor is again that before them."""
        from ingestion.loaders.postgres.undoing import roll_back

        return roll_back(self, job, run_id)

    def upkeep(self, job: str) -> dict[str, int]:
        """Let the server reuse the space of dead rows, and drop cursors that no rollback will ask for."""
        from ingestion.loaders.postgres.upkeep import maintain

        return maintain(self, job)

    def scan(self, parts: Sequence[Part] = ()) -> "pl.LazyFrame":
        """The table, or the rows in all of *parts*, lazily: decimals of more than 38 digits are text.

        Only columns that are asked for are sent.
        """
        from ingestion.loaders.postgres.reading import lazily

        return lazily(self, parts)

    def to_table(self) -> pa.Table:
        """The whole table in memory."""
        return self.reader().read_all()

    def reader(self, names: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """The table batch by batch, or these columns of it."""
        from ingestion.loaders.postgres.reading import batches, columns_of

        found = columns_of(self)
        schema = found.schema if names is None else pa.schema([found.schema.field(name) for name in names])
        return pa.RecordBatchReader.from_batches(schema, batches(self, found, names))

    def first_rows(self, count: int) -> pa.Table:
        """Some *count* rows, for people to look at."""
        from ingestion.loaders.postgres.reading import batches, columns_of

        found = columns_of(self)
        return pa.Table.from_batches(batches(self, found, limit=count), found.schema)
