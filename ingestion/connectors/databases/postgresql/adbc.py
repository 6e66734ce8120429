"""Rows by ADBC's driver."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.connectors.databases.postgresql.driver import Driver, Reading

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

__all__ = ["driver"]

_BATCH = 4 << 20  # bytes; larger ones take longer to come and no less work


def driver() -> Driver:
    """ADBC's; raises ImportError where it is not installed."""
    import adbc_driver_postgresql.dbapi  # type: ignore[import-untyped]  # noqa: F401 - whether it is there

    return Driver("adbc-driver-postgresql", _stream)


def _stream(reading: Reading) -> Iterator[pa.RecordBatch]:
    from adbc_driver_postgresql import StatementOptions

    size = min(reading.batch_bytes, _BATCH)
    with _connected(reading) as connection, connection.cursor() as cursor:
        for statement in reading.beginning:
            cursor.execute(statement)
        cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(size)})
        with reading.stops.by(cursor.adbc_cancel):
            cursor.execute(reading.statement)
            with cursor.fetch_record_batch() as batches:
                for batch in batches:
                    for start in range(0, batch.num_rows, reading.batch_rows):
                        yield batch.slice(start, reading.batch_rows)


@contextmanager
def _connected(reading: Reading) -> "Iterator[Connection]":
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    connection = dbapi.connect(reading.address())
    try:
        yield connection
    finally:
        with suppress(Error):  # broken already: the server has let go of it
            connection.close()
