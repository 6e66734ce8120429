"""Where rows come from, as people are told of it."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as t

from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.relation import Relation
from ingestion.plugins import Origin

__all__ = ["Places"]

_PARTS_APART = 1 << 40  # rows that no part of a reading has


class Places:
    """The origins of batches: a row stands at its primary key where that is one whole number, else at its turn."""

    def __init__(self, database: Database, relation: Relation, described: Described, columns: Sequence[Column]) -> None:
        self.source = f"{database.place}/{relation.name}"
        key = described.key[0] if len(described.key) == 1 else None
        self.column = next((i for i, c in enumerate(columns) if c.name == key and t.is_signed_integer(c.dtype)), None)

    def origin(self, selected: pa.RecordBatch, before: int, part: int = 0) -> Origin:
        """That of rows which *before* others of the same *part* came before."""
        if self.column is None:
            return Origin(self.source, part * _PARTS_APART + before + 1)
        return Origin(self.source, positions=selected.column(self.column).cast(pa.int64()))
