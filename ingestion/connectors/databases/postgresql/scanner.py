"""Rows by DuckDB's extension for PostgreSQL, which comes as a wheel for one version of DuckDB.

Its transaction is ours: what it begins by itself is ended, and one begun that reads the snapshot it is told of.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.connectors.databases.postgresql.driver import Driver, Reading
from ingestion.connectors.databases.sizes import gathered

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["driver"]

_VECTOR = 2048  # rows that DuckDB holds anyway
_SETTINGS = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_persistent_secrets": False,
}


def driver() -> Driver:
    """DuckDB's; raises ImportError where it or its extension is not installed."""
    path = _extension()
    return Driver("DuckDB's postgres_scanner", lambda reading: _stream(reading, path))


def _extension() -> Path:
    import duckdb

    package = find_spec("duckdb_extension_postgres_scanner")
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or ():
        path = Path(folder) / "extensions" / f"v{duckdb.__version__}" / "postgres_scanner.duckdb_extension"
        if path.is_file():
            return path
    raise ImportError("no postgres_scanner for this DuckDB", name="duckdb_extension_postgres_scanner")


def _stream(reading: Reading, extension: Path) -> Iterator[pa.RecordBatch]:
    import duckdb

    with duckdb.connect(config=_SETTINGS) as connection:  # type: ignore[arg-type]  # its stubs know texts alone
        connection.execute(f"LOAD {_text(str(extension))}")
        # In an address it would be told in errors. Without a secret DuckDB looks for one on the disk, and fails.
        password = "" if reading.password is None else f", PASSWORD {_text(reading.password)}"
        connection.execute(f"CREATE SECRET password (TYPE postgres{password})")
        connection.execute(f"ATTACH {_text(reading.address('password'))} AS server (TYPE postgres, SECRET password)")
        backends: list[int] = []
        with reading.stops.by(lambda: reading.stop(*backends)), _transaction(connection):
            begin = ";\n".join(["ROLLBACK", "BEGIN", *reading.beginning])
            connection.execute(f"CALL postgres_execute('server', {_text(begin)})")
            backends += connection.execute(_answer("SELECT pg_catalog.pg_backend_pid() AS backend")).fetchone() or ()
            with connection.execute(_answer(_numbered(reading))).to_arrow_reader(_at_once(reading)) as batches:
                yield from gathered(_told(batches), reading.batch_rows, reading.batch_bytes)


def _at_once(reading: Reading) -> int:
    """How many rows cannot be more than a batch, as far as it is known; DuckDB counts no bytes."""
    return min(reading.batch_rows, max(_VECTOR, int(reading.batch_bytes / reading.row_bytes)))


def _told(batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """*batches*; what DuckDB says of a broken stream comes through Arrow as an error of its own."""
    import duckdb

    try:
        yield from batches
    except (OSError, pa.ArrowException) as error:
        raise duckdb.IOException(str(error)) from error


@contextmanager
def _transaction(connection: "DuckDBPyConnection") -> Iterator[None]:
    """A transaction that is undone at the end; left to its destructor, one whose server is gone ends the process."""
    import duckdb

    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")


def _answer(statement: str) -> str:
    return f"FROM postgres_query('server', {_text(statement)})"


def _numbered(reading: Reading) -> str:
    """The statement under names that differ in more than case, of which DuckDB takes no notice."""
    names = ", ".join(f"c{number}" for number in range(len(reading.names)))
    return f"SELECT * FROM ({reading.statement}) AS answer ({names})"  # noqa: S608 - the statement is what is read


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
