"""A block of text becomes a batch; this is the work that is done side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion import quarantine
from ingestion.connectors.csv.blocks import Block
from ingestion.connectors.csv.cells import BadLine, Cells, StrayQuoteError, read_cells
from ingestion.connectors.csv.conversion import Column, Misfit, typed
from ingestion.connectors.csv.dialect import Dialect
from ingestion.connectors.files import Found
from ingestion.errors import DataError
from ingestion.plugins import BAD_ROW, REJECTED, Batch, Origin

if TYPE_CHECKING:
    from ingestion.connectors.csv.connector import CsvConnector

__all__ = ["Layout", "Parsed", "complete", "empty", "parse", "tidy"]


@dataclass(frozen=True)
class Layout:
    """All that a block of one text needs to know to become a batch."""

    label: str
    file: Found
    columns: tuple[Column, ...]  # as the text has them
    missing: tuple[Column, ...]  # those that only other files have: null here
    dialect: Dialect  # with the delimiter of this text
    source: "CsvConnector"

    @property
    def names(self) -> list[str]:
        """The names of the text's own columns."""
        return [column.name for column in self.columns]

    def like(self, other: "Layout") -> bool:
        """Whether the texts of both can be parsed as one."""
        return (self.columns, self.missing, self.dialect) == (other.columns, other.missing, other.dialect)

    def with_metadata(self, records: pa.RecordBatch, origin: Origin) -> pa.RecordBatch:
        """*records* with the columns that tell where each row came from, if they are wanted."""
        if not self.source.include_metadata:
            return records
        count = records.num_rows
        same = pa.repeat(pa.scalar(0, pa.int8()), count)
        lines = origin.at(pa.array(range(count), pa.int64()))
        stamp = pa.repeat(pa.scalar(self.file.modified_us, pa.int64()), count).cast(pa.timestamp("us", "UTC"))
        path = pa.DictionaryArray.from_arrays(same, pa.array([self.label], pa.string()))
        added = {"_source_file": path, "_source_row": lines, "_source_modified_at": stamp}
        for name, column in added.items():
            if name in records.schema.names:
                raise DataError.without_values(
                    f"{self.label} has a column {name} of its own; set source.include_metadata: false"
                )
            records = records.append_column(name, column)
        return records


class Parsed(NamedTuple):
    """A block's batch; or none, because some columns need a wider type or the text was cut in the wrong places."""

    batch: Batch | None
    wider: Mapping[str, pa.DataType] = {}
    stray_quote: bool = False


def parse(block: Block, layout: Layout) -> Parsed:
    """The batch of *block*. Raises DataError for text that cannot be read at all."""
    try:
        cells = tidy(read_cells(block, layout.names, layout.dialect, layout.label), layout.dialect, block.first_line)
    except StrayQuoteError:
        return Parsed(None, stray_quote=True)
    result = typed(cells.rows.columns, layout.columns, layout.source.rules)
    if result.wider:
        return Parsed(None, result.wider)
    origin = Origin(layout.label, block.first_line, cells.lines, layout.file.modified_at)
    rejected = quarantine.concat([_bad_lines(cells.bad, origin), _misfits(cells.rows, result.misfits, layout, origin)])
    removed = {"blank_row": cells.blank} if cells.blank else {}
    records = complete(result.columns, layout)
    if result.misfits:
        kept = pc.indices_nonzero(pc.invert(_any(result.misfits)))
        records, origin = records.take(kept), origin.take(kept)
    if rejected is not None and layout.source.on_bad_row != "quarantine":
        if layout.source.on_bad_row == "fail":
            raise _failed(rejected)
        removed[BAD_ROW], rejected = rejected.num_rows, None
    records = layout.with_metadata(records, origin)
    return Parsed(Batch(records, origin, rejected, removed, None, block.stored))


def empty(layout: Layout, stored: int) -> Parsed:
    """The batch of a text without rows: its schema."""
    columns = [pa.nulls(0, column.dtype) for column in layout.columns]
    origin = Origin(layout.label, modified_at=layout.file.modified_at)
    records = complete(columns, layout)
    records = layout.with_metadata(records, origin)
    return Parsed(Batch(records, origin, bytes_read=stored))


def tidy(cells: Cells, dialect: Dialect, first_line: int) -> Cells:
    """*cells* trimmed and without blank rows, as the dialect says."""
    rows = cells.rows
    if dialect.trim:
        nulls = pa.array(dialect.null_values, pa.string())
        trimmed = [pc.utf8_trim_whitespace(column) for column in rows.columns]
        columns = [pc.if_else(pc.is_in(column, nulls), pa.scalar(None, pa.string()), column) for column in trimmed]
        rows = pa.RecordBatch.from_arrays(columns, schema=rows.schema)
    if not dialect.skip_blank_rows:
        return cells._replace(rows=rows)
    blank = _blank(rows, empty_is_null=dialect.empty_is_null)
    if blank is None:
        return cells._replace(rows=rows)
    kept = pc.indices_nonzero(pc.invert(blank))
    lines = cells.lines.take(kept) if cells.lines is not None else pc.add(pc.cast(kept, pa.int64()), first_line)
    return cells._replace(rows=rows.take(kept), lines=lines, blank=cells.blank + rows.num_rows - len(kept))


def _blank(rows: pa.RecordBatch, *, empty_is_null: bool) -> pa.BooleanArray | None:
    """Which rows are blank; None where none is, which the first column mostly tells."""
    blank: pa.BooleanArray | None = None
    for column in rows.columns:
        if empty_is_null and not column.null_count:
            return None
        bare = column.is_null() if empty_is_null else pc.fill_null(pc.equal(column, ""), fill_value=True)
        blank = bare if blank is None else pc.and_(blank, bare)
        if not pc.any(blank).as_py():
            return None
    return blank


def complete(columns: list[pa.Array], layout: Layout) -> pa.RecordBatch:
    """The columns of a text, and nulls for those that it lacks; without rows, unseen ones have no type."""
    count = len(columns[0])
    nulls = [pa.nulls(count, column.dtype) for column in layout.missing]
    every = (*layout.columns, *layout.missing)
    arrays = [
        array if count or column.seen else pa.nulls(0) for array, column in zip([*columns, *nulls], every, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in every])


def _bad_lines(bad: list[BadLine], origin: Origin) -> pa.RecordBatch | None:
    if not bad:
        return None
    rows = [
        {
            "stage": "read",
            "rule": one.rule,
            "reason": one.reason,
            "source": origin.source,
            "position": one.line,
            "payload": one.text,
            "source_modified_at": origin.modified_at,
        }
        for one in bad
    ]
    return pa.RecordBatch.from_pylist(rows, schema=REJECTED)


def _any(misfits: list[Misfit]) -> pa.BooleanArray:
    mask = misfits[0].mask
    for misfit in misfits[1:]:
        mask = pc.or_(mask, misfit.mask)
    return mask


def _misfits(rows: pa.RecordBatch, misfits: list[Misfit], layout: Layout, origin: Origin) -> pa.RecordBatch | None:
    """The rows with a misfit, each under the first column that has one."""
    if not misfits:
        return None
    bad = pc.indices_nonzero(_any(misfits))
    columns = values = reasons = pa.nulls(len(bad), pa.string())
    for misfit in reversed(misfits):
        here = misfit.mask.take(bad)
        columns = pc.if_else(here, misfit.column, columns)
        values = pc.if_else(here, rows[misfit.column].take(bad), values)
        reasons = pc.if_else(here, misfit.reasons.take(bad), reasons)
    whole = layout.with_metadata(rows, origin)
    return quarantine.reject(
        whole, bad, origin, stage="read", rule="type", columns=columns, values=values, reasons=reasons
    )


def _failed(rejected: pa.RecordBatch) -> DataError:
    first = rejected.sort_by("position").slice(0, 1).to_pylist()[0]
    place = f"{first['source']}: line {first['position']}: {first['column'] or ''}{': ' if first['column'] else ''}"
    advice = "mend the row, or set source.on_bad_row: quarantine"
    veiled = "the value does not fit" if first["column"] else f"this is no row ({first['rule']})"
    return DataError(f"{place}{first['reason']}; {advice}", veiled=f"{place}{veiled}; {advice}")
