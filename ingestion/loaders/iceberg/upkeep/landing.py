"""One commit of upkeep, by the protocol of all commits: sent once per attempt, looked up by its mark."""

import uuid
from typing import TYPE_CHECKING

from ingestion.loaders.iceberg.history import LOAD, UPKEEP, all_entries

if TYPE_CHECKING:
    from pyiceberg.table import Transaction

__all__ = ["Moved", "new_mark", "summary"]


class Moved(Exception):
    """A commit of others has changed what was planned for."""


def new_mark(step: str) -> str:
    """The name by which a commit of *step* is found again."""
    return f"{step}-{uuid.uuid4().hex}"


def summary(transaction: "Transaction", step: str, mark: str) -> dict[str, str]:
    """What the snapshot of *step* says of itself: the cursors of all jobs as they were."""
    io = transaction._table.io  # noqa: SLF001 - the table that the transaction is on
    return {**all_entries(transaction.table_metadata, io), LOAD: mark, UPKEEP: step}
