"""The table as Arrow batches."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import ConfigError
from ingestion.loaders.postgres.failures import translated
from ingestion.loaders.postgres.parts import within
from ingestion.loaders.postgres.session import opened, quoted
from ingestion.loaders.postgres.table import Found, find
from ingestion.loaders.tables.types import cast
from ingestion.plugins import Part

if TYPE_CHECKING:
    import polars as pl

    from ingestion.loaders.postgres import PostgresLoader

__all__ = ["batches", "columns_of", "lazily"]

_AS_TEXT = ("numeric", "json", "jsonb", "uuid")


def columns_of(options: "PostgresLoader") -> Found:
    """The table's columns; raises ConfigError where there is none."""
    schema, table = options.identifier()
    with opened(options, f"table {schema}.{table}") as session:
        found = find(session, schema, table)
    if found is None:
        raise ConfigError(f"table {schema}.{table} does not exist yet; run its job first")
    return found


def batches(
    options: "PostgresLoader",
    found: Found,
    names: Sequence[str] | None = None,
    limit: int | None = None,
    parts: Sequence[Part] = (),
) -> Iterator[pa.RecordBatch]:
    """The rows, or those in all of *parts*, as the server has them then; the connection closes with the iterator."""
    schema, table = options.identifier()
    wanted = found.schema if names is None else pa.schema([found.schema.field(name) for name in names])
    listed = ", ".join(_selected(found, name) for name in wanted.names)
    end = f" WHERE {within(parts, found)}" if parts else ""
    end += "" if limit is None else f" LIMIT {limit}"
    with ExitStack() as stack:
        what = f"table {schema}.{table}"
        session = stack.enter_context(opened(options, what))
        with translated(what):
            reader = stack.enter_context(session.stream(f"SELECT {listed} FROM {quoted(schema, table)}{end}"))  # noqa: S608
            for batch in reader:
                yield _typed(batch, wanted)


def _selected(found: Found, name: str) -> str:
    kind = found.columns[name].kind
    exact = pa.types.is_string(found.schema.field(name).type) or kind.name in _AS_TEXT
    return f"{quoted(name)}::text" if exact else quoted(name)


def _typed(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    columns = [
        cast(pa.chunked_array([column]), item.type).combine_chunks()
        for column, item in zip(batch.columns, wanted, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=wanted)


def lazily(options: "PostgresLoader", parts: Sequence[Part] = ()) -> "pl.LazyFrame":
    """The table as a frame that asks the server once it is collected."""
    import polars as pl
    from polars.io.plugins import register_io_source

    found = columns_of(options)

    def frames(
        names: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        for batch in batches(options, found, names, limit if predicate is None else None, parts):
            frame = _frame(batch)
            yield frame if predicate is None else frame.filter(predicate)

    return register_io_source(frames, schema=_frame(found.schema.empty_table()).schema)


def _frame(rows: pa.RecordBatch | pa.Table) -> "pl.DataFrame":
    """Decimals of more than 38 digits become text: polars has none."""
    import polars as pl

    columns = [column.cast(pa.string()) if pa.types.is_decimal256(column.type) else column for column in rows.columns]
    return pl.DataFrame(
        {name: pl.Series(pl.from_arrow(column)) for name, column in zip(rows.schema.names, columns, strict=True)}
    )
