"""A run report as the metadata of a materialization: numbers that plot, tables that read."""

from typing import Any

import dagster as dg
import pyarrow as pa

from ingestion.orchestration.names import LOAD_ID, REPORT, SNAPSHOT_ID
from ingestion.report import RunReport
from ingestion.shown import rows_of

__all__ = ["materialization_metadata", "preview_markdown"]

_CELL_WIDTH = 80
_REASONS = dg.TableSchema(
    [dg.TableColumn("reason", "string"), dg.TableColumn("rows", "int"), dg.TableColumn("example", "string")]
)


def materialization_metadata(report: RunReport, preview: pa.RecordBatch | None) -> dict[str, Any]:
    """Everything that a run says of itself, under Dagster's own names where it has them."""
    metadata = _counts_of(report) | _reasons_of(report) | _table_of(report)
    if preview is not None:
        metadata["preview"] = dg.MetadataValue.md(preview_markdown(preview))
    return metadata


def _counts_of(report: RunReport) -> dict[str, Any]:
    """What there is of every run, and how a merge changed rows."""
    value = dg.MetadataValue
    seconds = {f"stage_{stage}_seconds": round(taken, 3) for stage, taken in report.stages.items()}
    return {
        "rows_read": value.int(report.rows_read),
        "rows_loaded": value.int(report.rows_loaded),
        "rows_quarantined": value.int(report.rows_quarantined),
        "rows_filtered": value.int(report.rows_filtered),
        "bytes_read": value.int(report.bytes_read),
        "bytes_written": value.int(report.bytes_written),
        "files": value.int(report.files),
        "duration_seconds": value.float(report.duration_seconds),
        "rows_per_second": value.float(report.rows_per_second),
        LOAD_ID: value.text(report.load_id),
        "cursor": value.json(report.cursor),
        "source_files": value.json(report.sources),
        "stages": value.json(report.stages),
        REPORT: value.json(report.as_json()),
        **{name: value.float(taken) for name, taken in seconds.items()},
        **{f"rows_{word}": value.int(count) for word, count in report.changes.items()},
    }


def _table_of(report: RunReport) -> dict[str, Any]:
    """What became of the table, and what people should know of it; nothing of what there is not."""
    value = dg.MetadataValue
    names = ("told", "columns_added", "columns_absent", "notes", "warnings")
    metadata: dict[str, Any] = {name: value.json(found) for name in names if (found := getattr(report, name))}
    if report.snapshot is not None:  # text: snapshot ids have 64 bits, GraphQL integers 32
        metadata[SNAPSHOT_ID] = value.text(report.snapshot)
    if report.table_rows is not None:  # Dagster shows it as the rows of the whole table
        metadata["dagster/row_count"] = value.int(report.table_rows)
    if report.table is not None:
        metadata["dagster/table_name"] = value.text(report.table)
    if report.location is not None:
        metadata["dagster/uri"] = value.text(report.location)
    if report.schema:
        columns = [dg.TableColumn(name, kind) for name, kind in report.schema.items()]
        metadata["dagster/column_schema"] = dg.TableSchema(columns)
    return metadata


def _reasons_of(report: RunReport) -> dict[str, dg.TableMetadataValue]:
    """Tables of why rows were left behind, the most frequent reason first; none where there is none."""
    tables = {}
    for name, counts in (("quarantined_by_reason", report.rejected), ("filtered_by_reason", report.removed)):
        records = [
            dg.TableRecord({"reason": reason, "rows": count, "example": report.examples.get(reason, "")})
            for reason, count in counts.most_common()
            if count
        ]
        if records:
            tables[name] = dg.MetadataValue.table(records, _REASONS)
    return tables


def preview_markdown(rows: pa.RecordBatch) -> str:
    """*rows* as a Markdown table, long values cut."""
    names = rows.schema.names
    lines = [_line(names), _line(["---"] * len(names))]
    lines += [_line([row[name] for name in names]) for row in rows_of(rows)]
    return "\n".join(lines)


def _line(cells: list[Any]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    text = text if len(text) <= _CELL_WIDTH else text[: _CELL_WIDTH - 1] + "…"
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", " ").replace("\n", " ")
