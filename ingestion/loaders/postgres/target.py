"""Where the rows of one load go while it is under way, and how they get into the table at its end."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.loaders.postgres.copying import Home, Sender
from ingestion.loaders.postgres.plan import Plan, renames
from ingestion.loaders.postgres.session import Session, quoted
from ingestion.loaders.postgres.table import Found, find
from ingestion.loaders.postgres.types import TEXT, PgType
from ingestion.loaders.postgres.values import on_the_wire
from ingestion.loaders.tables import TableLoader
from ingestion.loaders.tables.admission import deletes
from ingestion.loaders.tables.options import DELETED_AT
from ingestion.plugins import Load

__all__ = ["DELETES", "SOURCE", "Target", "sent"]

SOURCE = "_ingestion source"
"""Number of a staged row's origin, in order of first arrival."""
DELETES = "_ingestion deletes"
"""Whether a staged row deletes."""

_FOR_MERGES = {SOURCE: PgType("integer"), DELETES: PgType("boolean")}


class Target:
    """Rows go straight into the table where they are appended and it fits, else to a table of this load's own."""

    def __init__(self, session: Session, options: TableLoader, load: Load, thread: ThreadPoolExecutor) -> None:
        table = (options.database, options.table or load.job)
        self.rows = 0
        self.table = table
        self.sources: dict[str, int] = {}
        self.brought: set[str] = set()
        self._session = session
        self._options = options
        found = find(session, *table)
        due = renames(found, options.rename_from, ".".join(table))
        frozen = options.schema_contract.columns == "freeze"
        self.found = found.renamed(due) if found is not None else None
        self.plan = Plan(".".join(table), self.found, due, frozen)
        self.stage = Home("", f"_ingestion_{load.load_id[:16]}")
        self.draft = Home(table[0], f"_ingestion_{load.load_id[:16]}")
        self._direct = Home(*table, own=False)
        self._replaces = options.write_mode == "overwrite" or bool(load.replaces)
        self._sender = Sender(session, thread)

    @property
    def keyed(self) -> bool:
        """Whether rows of one key are to become one."""
        return bool(self._options.merge_keys) and self._options.write_mode != "append"

    @property
    def bytes_written(self) -> int:
        """Of Arrow data, as sent."""
        return self._sender.bytes

    @property
    def has_schema(self) -> bool:
        """Whether there is a table, or something to make it of."""
        return self.found is not None or bool(self.plan.columns or self.plan.untyped)

    @property
    def stands(self) -> bool:
        """Whether all rows are in the table as it is, so that only the commit is due."""
        elsewhere = self.stage.made or self.draft.made or self.plan.changes
        return bool(self.rows) and self.found is not None and not elsewhere

    def write(self, records: pa.RecordBatch, source: str) -> None:
        """Take the rows of a batch, or the columns of one without rows."""
        table, flags = self._without_deletes(pa.Table.from_batches([records]))
        self.plan.meet(table.schema, rows=bool(records.num_rows))
        if not records.num_rows:
            return
        self.rows += records.num_rows
        self.brought.update(table.schema.names)
        if self.keyed:
            number = self.sources.setdefault(source, len(self.sources))
            flags[SOURCE] = pa.chunked_array([pa.repeat(pa.scalar(number, pa.int32()), records.num_rows)])
        rows = self._converted(table, flags)
        self._sender.add(rows, self._home(), self._staged())

    def finish(self) -> None:
        """Have all rows on the server."""
        self._sender.flush()
        self.plan.settle()
        if self._options.delete_missing == "soft" and not self._replaces:
            self.plan.columns.setdefault(DELETED_AT, PgType("timestamp with time zone"))
        if self.stage.made:
            self.stage.fit(self._session, self._staged())

    def prepare(self) -> Found | None:
        """Have the table with all columns; what it was before. A draft becomes the table where there was none."""
        session, name = self._session, quoted(*self.table)
        fresh = find(session, *self.table)
        if fresh is not None:
            for statement in self.plan.statements(fresh, self.table):
                session.run(statement)
        elif self.draft.made:
            self.draft.fit(session, self.plan.columns)
            session.run(f"ALTER TABLE {self.draft.sql} RENAME TO {quoted(self.table[1])}")
            self.draft.made = False
        else:
            columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in self.plan.columns.items())
            session.run(f"CREATE TABLE {name} ({columns})")
        return fresh

    def append(self) -> None:
        """Have the rows of this load's own tables in the table."""
        for home in (self.draft, self.stage):
            if home.made:
                columns = ", ".join(map(quoted, (name for name in home.columns if name not in _FOR_MERGES)))
                self._session.run(
                    f"INSERT INTO {quoted(*self.table)} ({columns}) OVERRIDING SYSTEM VALUE "  # noqa: S608 - quoted
                    f"SELECT {columns} FROM {home.sql}"
                )
        if self.draft.made:
            self._session.run(f"DROP TABLE {self.draft.sql}")

    def _converted(self, table: pa.Table, flags: dict[str, pa.ChunkedArray]) -> pa.Table:
        names = [name for name in table.schema.names if name in self.plan.columns]
        if not names:  # rows of nothing but nulls
            names = table.schema.names
            for name in names:
                self.plan.take_untyped(name)
        self.plan.loosen(table.select(names))
        columns = sent(self.plan, table, names)
        return pa.table({**columns, **flags})

    def _without_deletes(self, table: pa.Table) -> tuple[pa.Table, dict[str, pa.ChunkedArray]]:
        """The data's own columns, and for merges whether each row deletes."""
        if not self.keyed:
            return table, {}
        name = self._options.delete_column
        none = pa.chunked_array([pa.repeat(pa.scalar(value=False), table.num_rows)])
        if name is None or name not in table.schema.names:
            return table, {DELETES: none}
        values = table.column(name)
        flags = pa.chunked_array([deletes(chunk) for chunk in values.chunks], pa.bool_())
        return table.drop_columns([name]), {DELETES: flags}

    def _staged(self) -> dict[str, PgType]:
        return {**self.plan.columns, **(_FOR_MERGES if self.keyed else {})}

    def _home(self) -> Home:
        if self.keyed:
            return self.stage
        if self.found is None:
            return self.draft
        return self.stage if self._replaces or self.plan.changes else self._direct


def sent(plan: Plan, table: pa.Table, names: Iterable[str]) -> dict[str, pa.ChunkedArray]:
    """The columns *names* as the server takes them; one of limited length becomes text where a value is longer.

    Raises DataError for a value that does not fit.
    """
    columns = {}
    for name in names:
        if name not in plan.columns:
            plan.take_untyped(name)
        values, kind = table.column(name), plan.columns[name]
        if kind.name in ("character varying", "character") and _longest(values) > (kind.modifiers or (1,))[0]:
            plan.columns[name] = kind = TEXT
        columns[name] = on_the_wire(values, kind, name)
    return columns


def _longest(texts: pa.ChunkedArray) -> int:
    return int(pc.max(pc.utf8_length(texts.cast(pa.string()))).as_py() or 0) if len(texts) else 0
