"""What a load learns from its stream beside the rows, and what follows from it in every table alike."""

from collections.abc import Mapping

import pyarrow as pa

from ingestion.errors import DataError, Superseded
from ingestion.loaders.tables.options import TableLoader
from ingestion.plugins import Batch, Cursor, Load, bad_rows

__all__ = ["OLDER", "Intake"]

OLDER = "older row of the same key"
"""The reason in `LoadResult.removed` of rows that lost to another one with their key."""

_CHANGES = ("inserted", "updated", "unchanged", "deleted")


class Intake:
    """Follows the batches of one load into the table called *name*."""

    def __init__(self, options: TableLoader, load: Load, name: str) -> None:
        self.cursor: Cursor = None  # the last one
        self.rows = 0  # given, those that delete included
        self.bad = 0  # rows that were rejected, or left out because they are bad
        self._options = options
        self._load = load
        self._name = name

    def note(self, batch: Batch) -> None:
        """Take what *batch* says beside its rows."""
        self.rows += batch.records.num_rows
        if batch.cursor is not None:
            self.cursor = batch.cursor
        self.bad += bad_rows(batch.removed) + (batch.rejected.num_rows if batch.rejected is not None else 0)

    @property
    def merges(self) -> bool:
        """Whether rows are to take the places of those with their keys."""
        return self._options.write_mode == "merge" and not self._load.replaces

    @property
    def settles_missing(self) -> bool:
        """Whether rows of the table that the load lacks are gone at the source; what was rejected is there still."""
        return self.merges and self._options.delete_missing != "none" and not self.bad

    def notes(self, *, first: bool) -> tuple[str, ...]:
        """What people have to know of rows that were left alone, in sentences; *first* where there was no table."""
        spared = self.merges and self._options.delete_missing != "none" and self.bad and not first
        bad = "1 row was" if self.bad == 1 else f"{self.bad} rows were"
        return (f"{bad} rejected, so rows that the load lacks were left as they are",) if spared else ()

    def changes(self, counts: Mapping[str, int]) -> dict[str, int]:
        """What a merge did, zeros included; missing rows are counted where delete_missing asks for them."""
        if not self.merges:
            return {}
        names = (*_CHANGES, "missing") if self._options.delete_missing != "none" else _CHANGES
        return {name: counts.get(name, 0) for name in names}

    @property
    def has_new_cursor(self) -> bool:
        """Whether the last cursor is another one than the run began from."""
        cursor, before = self.cursor, self._load.since.cursor
        if isinstance(cursor, pa.Table):
            if isinstance(before, pa.Table):
                return not cursor.equals(before)
            return before is not None or bool(cursor.num_rows)
        return cursor is not None and (isinstance(before, pa.Table) or cursor != before)

    def refuse_to_empty(self, rows: int) -> None:
        """Raise DataError where *rows*, those of the load that do not delete, are none and all others would go."""
        options = self._options
        replaces = options.write_mode == "overwrite" and options.replaces_all and not self._load.replaces
        if rows or options.allow_empty or not (replaces or self.settles_missing):
            return
        what = "write_mode overwrite" if replaces else f"delete_missing: {options.delete_missing}"
        given = "nothing but deletes" if self.rows else "no rows"
        raise DataError(
            f"table {self._name}: the source gave {given}, and {what} would empty the table; "
            f"check the source, or set loader.allow_empty: true if that is right"
        )

    def refuse_if_superseded(self, newest: str | None) -> None:
        """Raise Superseded where *newest*, the job's last load in the table, is not the one that the run began from."""
        load = self._load
        if not load.alone and newest != load.since.load_id:
            raise Superseded(
                f"table {self._name}: another run of job {load.job} has committed (load {newest}) since this one "
                f"began from load {load.since.load_id}, or the table was rolled back; "
                f"nothing of this run was loaded, run again"
            )
