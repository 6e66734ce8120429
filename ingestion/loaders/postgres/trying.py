"""What a load would do to a table's columns, planned and thrown away."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.loaders.postgres.plan import Plan, renames
from ingestion.loaders.postgres.session import Session, opened
from ingestion.loaders.postgres.table import ensure_schema, find
from ingestion.loaders.postgres.target import sent
from ingestion.loaders.postgres.types import plain
from ingestion.loaders.tables.comparing import Trial

if TYPE_CHECKING:
    from ingestion.loaders.postgres import PostgresLoader

__all__ = ["trial_of"]


@contextmanager
def trial_of(options: "PostgresLoader", job: str) -> Iterator[Trial]:
    """The table of *job*, to try things on."""
    with opened(options, f"table {'.'.join(options.identifier(job))}") as session:
        yield _Postgres(options, job, session)


class _Postgres(Trial):
    def __init__(self, options: "PostgresLoader", job: str, session: Session) -> None:
        self._options = options
        self._table = options.identifier(job)
        self._name = ".".join(self._table)
        self._session = session
        found = find(session, *self._table)
        self._renames = renames(found, options.rename_from, self._name)
        self._found = found.renamed(self._renames) if found is not None else None
        self.known = None if self._found is None else self._found.schema

    def _plan(self) -> Plan:
        frozen = self._options.schema_contract.columns == "freeze"
        return Plan(self._name, self._found, self._renames, frozen)

    def before(self, column: str) -> str | None:
        there = self._found.columns if self._found is not None else {}
        return str(there[column].kind) if column in there else None

    def called(self, dtype: pa.DataType, column: str) -> str:
        return str(plain(dtype, column) or "null")

    def after(self, column: str, batches: Sequence[pa.RecordBatch]) -> str | None:
        plan = self._plan()
        for batch in batches:
            plan.meet(batch.schema, rows=bool(batch.num_rows))
        for batch in batches:
            if batch.num_rows:
                sent(plan, pa.Table.from_batches([batch]), [column])
        return str(plan.columns[column]) if column in plan.columns else None

    def check(self, batches: Sequence[pa.RecordBatch]) -> None:
        if self._found is None and not self._options.create_schema_if_not_exists:
            ensure_schema(self._session, self._table[0], create=False)
        plan, left_out = self._plan(), self._options.delete_column
        for batch in batches:
            table = pa.Table.from_batches([batch])
            if left_out is not None and self._options.write_mode != "append" and left_out in table.schema.names:
                table = table.drop_columns([left_out])
            plan.meet(table.schema, rows=bool(table.num_rows))
            if table.num_rows:
                plan.loosen(table)
                sent(plan, table, table.schema.names)
