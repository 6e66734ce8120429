"""The connector of which every kind of database is one: what its options mean, and which reading they ask for."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from ingestion.connectors.databases.addresses import Addressed
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.encryption import SslMode
from ingestion.connectors.databases.options import DatabaseIncremental, SshTunnel, seconds
from ingestion.model import Names
from ingestion.plugins import Batch, Checked, Cursor, Loader, Restart

__all__ = ["DatabaseConnector"]

_ADDRESS = ("host", "port", "username", "password", "database")


class DatabaseConnector(Addressed):
    """Reads a table, or the result of a query, with the types that the database says."""

    connection_params: dict[str, str | int | float | bool] = {}
    """Further parameters of the connection, under the names that the driver gives them."""
    ssl_mode: SslMode | None = None
    """How the connection is encrypted: disable, require (whoever answers), verify-ca (a certificate that we trust) or
    verify-full (one of that very host); by default as the driver has it."""
    table: str | None = None
    """The table or view to read."""
    query: str | None = None
    """A query to read the result of, in place of a table."""
    query_params: dict[str, Any] = {}
    """Values for the parameters of query, which are written :name there."""
    columns: Names | None = Field(default=None, min_length=1)
    """The columns to read, in this order; by default all."""
    exclude_columns: Names = []
    """Columns to leave out."""
    where_clause: str | None = None
    """A condition in the database's SQL; only rows that meet it are read."""
    where_params: dict[str, Any] = {}
    """Values for the parameters of where_clause, which are written :name there."""
    incremental: DatabaseIncremental | None = None
    """Read only what is new since the last run; by default every run reads all."""
    primary_key: Names | None = Field(default=None, min_length=1)
    """The columns that identify a row, by default as the database declares them; a query has none of its own."""
    fetch_size: int = Field(default=50_000, ge=1)
    """How many rows to fetch at once."""
    max_batch_bytes: int = Field(default=64 << 20, ge=1 << 16)
    """The most bytes that one batch of rows is meant to take in memory."""
    partition_column: str | None = None
    """The column by whose ranges several connections read at once: one of whole numbers, decimals, dates or timestamps.
    By default the pages of the table (PostgreSQL) or the primary key. Only with num_partitions."""
    num_partitions: int = Field(default=1, ge=1, le=64)
    """How many connections read side by side, in one snapshot of the database."""
    isolation_level: str | None = None
    """The isolation of the reading transaction, as SQL calls it; by default one that shows all of it one state."""
    statement_timeout: str | float | None = None
    """How long one statement may take, such as 10m; by default as long as it needs."""
    connect_timeout: float = Field(default=10, gt=0)
    """How many seconds to wait for a connection."""
    read_only: bool = True
    """Let the server refuse whatever would change it, where it can."""
    init_sql: Names = []
    """Statements to send at the start of every connection."""
    ssh_tunnel: SshTunnel | None = None
    """Reach the server through this host."""

    @field_validator("isolation_level")
    @classmethod
    def _upper_case(cls, value: str | None) -> str | None:
        return value and " ".join(value.upper().split())

    @field_validator("statement_timeout")
    @classmethod
    def _duration(cls, value: str | float | None) -> str | float | None:
        if value is not None:
            seconds(value)
        return value

    @model_validator(mode="after")
    def _one_relation(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        if self.query is None and self.query_params:
            raise ValueError("query_params belongs to query; values for where_clause are where_params")
        if self.where_clause is None and self.where_params:
            raise ValueError("where_params belongs to where_clause, which is not given")
        if self.query is not None and self.schema is not None:
            raise ValueError("schema belongs to table; name the schema in the query")
        columns, excluded = (self.settled(option) or () for option in ("columns", "exclude_columns"))
        if both := sorted({*columns} & {*excluded}):
            raise ValueError(f"columns and exclude_columns both name {both[0]}")
        return self

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        given = [name for name in _ADDRESS if getattr(self, name) is not None]
        if self.connection_string is not None and given:
            raise ValueError(f"connection_string has the whole address; leave out {given[0]}")
        if self.settled("connection_string") is not None:
            self.server.check_address()
        if self.connection_string is None and (missing := [n for n in self.server.needs if n not in given]):
            raise ValueError(f"{missing[0]} is missing")
        if self.partition_column is not None and self.num_partitions == 1:
            raise ValueError("partition_column asks for num_partitions greater than 1")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        server, ssl_mode = self.server, self.settled("ssl_mode")
        if self.is_parted and not server.shares_snapshots:
            raise ValueError(f"num_partitions: {server.title} lets no two connections read one state; leave it out")
        if self.ssh_tunnel is not None and not server.port:
            raise ValueError(f"ssh_tunnel leads to a server, and {server.title} has none; leave it out")
        if ssl_mode is not None and ssl_mode not in server.ssl_modes:
            known = f"it has {', '.join(server.ssl_modes)}" if server.ssl_modes else "leave it out"
            raise ValueError(f"{server.title} has no ssl_mode {ssl_mode}; {known}")
        return self

    @property
    @abstractmethod
    def server(self) -> Database:
        """What this kind of database does in its own way."""

    @property
    def is_parted(self) -> bool:
        """Whether several connections are to read at once; False while nobody knows."""
        return (self.settled("num_partitions") or 1) > 1

    def beside(self, loader: Loader) -> Self:
        """The same source; refuses options that lose or repeat rows in that target."""
        if self.incremental is None or isinstance(self.incremental, str):
            return self
        merges = loader.merges
        if self.incremental.looks_back and not merges:
            raise ValueError("source.incremental.lookback reads rows again; set loader.write_mode: merge")
        if self.incremental.on_null_cursor == "include" and not merges:
            raise ValueError(
                "source.incremental.on_null_cursor: include loads those rows in every run; "
                "set loader.write_mode: merge, or on_null_cursor: exclude"
            )
        if loader.replaces_all or loader.deletes_missing:
            what = "delete_missing" if loader.deletes_missing else "write_mode: overwrite"
            raise ValueError(
                f"source.incremental reads new rows alone, so loader.{what} would take away the others; "
                f"leave incremental out, or set write_mode: merge without delete_missing"
            )
        return self

    def read(self, cursor: Cursor, known: pa.Schema | None) -> Iterator[Batch | Restart]:
        """Yield the rows of the table or query that are new since *cursor*, read in one snapshot of the database."""
        from ingestion.connectors.databases.reading import Reading

        yield from Reading(self, cursor, known).batches()

    def unreadable(self, sources: Sequence[str], cursor: Cursor) -> Mapping[str, str]:
        """Those of *sources* whose rows are not told by a key, or that are another table than this one."""
        from ingestion.connectors.databases.rereading import unreadable

        del cursor
        return unreadable(self, sources) if sources else {}

    def reread(
        self, places: Mapping[str, pa.Array], cursor: Cursor, known: pa.Schema | None
    ) -> Iterator[Batch | Restart]:
        """Yield the rows that have these keys now, where they still meet where_clause."""
        from ingestion.connectors.databases.rereading import reread

        del cursor
        yield from reread(self, places, known)

    @property
    def reads_changes(self) -> bool:
        """Whether rows are found by a cursor, which is a newer one where they have changed."""
        return self.incremental is not None

    def overtaken(self, places: Mapping[str, pa.Array], cursor: Cursor) -> Mapping[str, pa.Array]:
        """Those of *places* whose rows lie beyond *cursor* now."""
        from ingestion.connectors.databases.rereading import overtaken

        return overtaken(self, places, cursor)

    def check(self, cursor: Cursor, known: pa.Schema | None) -> Checked:
        """Server, columns with their types, key, and the window of the next run; rows are not counted."""
        from ingestion.connectors.databases.checking import checked

        return checked(self, cursor, known)
