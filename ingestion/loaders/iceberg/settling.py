"""Changes of a table's metadata that make no snapshot: asked for until the table shows them."""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ingestion.errors import ConfigError, IngestionError, OutcomeUnknown
from ingestion.loaders.iceberg.catalog import find_table
from ingestion.loaders.iceberg.commit import send
from ingestion.secrets import redact

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction

__all__ = ["settled"]

_TRIES = 30
_FIRST_WAIT_SECONDS = 0.005
_LONGEST_WAIT_SECONDS = 0.5


def settled(catalog: "Catalog", identifier: tuple[str, ...], stage: "Callable[[Table], Transaction | None]") -> "Table":
    """The table once *stage*, asked in its newest state, has nothing left to change.

    One request at a time, and what became of it is not taken from its answer but from the next look at
    the table: a lost reply does no harm where *stage* finds its work done. What *stage* raises ends it.
    """
    last: Exception | None = None
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(random.uniform(0, min(_FIRST_WAIT_SECONDS * 2**attempt, _LONGEST_WAIT_SECONDS)))  # noqa: S311 - jitter
        table = find_table(catalog, identifier)
        if table is None:
            raise ConfigError(f"table {'.'.join(identifier)} does not exist; run its job first")
        transaction = stage(table)
        if transaction is None:
            return table
        try:
            send(transaction)
        except Exception as error:  # noqa: BLE001 - conflict, lost reply, lock: the next look into the table decides
            last = error
    raise _unknown(identifier, last)


def _unknown(identifier: tuple[str, ...], last: Exception | None) -> IngestionError:
    reason = redact(str(last)).splitlines()[0] if last is not None and str(last) else "others were always faster"
    error = OutcomeUnknown(
        f"table {'.'.join(identifier)}: after {_TRIES} tries it is unknown whether it was changed ({reason}); ask again"
    )
    error.__cause__ = last
    return error
