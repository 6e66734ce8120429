"""What the log says of a data file: how many rows, and the least and greatest value of each column."""

import json
import math
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t

__all__ = ["partition_text", "statistics"]

_COLUMNS = 32  # as many as Delta's own writers index
_LONGEST = 256  # characters; a longer text is worth less than the room it takes in every reader


def statistics(metadata: pq.FileMetaData, schema: pa.Schema) -> str:
    """The statistics of a file in the form of the log; a column whose bounds are not known exactly has none."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    flat = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    for item in list(schema)[:_COLUMNS]:
        place = flat.get(item.name)
        if place is None or t.is_nested(item.type):
            continue
        found = [group.column(place).statistics for group in groups]
        if any(one is None or not one.has_null_count for one in found):
            continue
        nulls[item.name] = sum(one.null_count for one in found)
        holding = sum(one.null_count < group.num_rows for one, group in zip(found, groups, strict=True))
        bounds = _bounds(found, holding) if _is_ordered(item.type) else None
        if bounds is not None:
            low[item.name], high[item.name] = bounds
    values = {"numRecords": metadata.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}
    return json.dumps(values, separators=(",", ":"))


def _bounds(groups: list[pq.Statistics], holding: int) -> tuple[Any, Any] | None:
    """A column's least and greatest value as the log has them, if all *holding* groups that have one know theirs."""
    known = [one for one in groups if one.has_min_max]
    if not known or len(known) < holding:
        return None
    try:
        least, most = _json(min(one.min for one in known)), _json(max(one.max for one in known))
    except OverflowError:  # a time beyond the year 9999
        return None
    return None if least is None or most is None else (least, most)


def _is_ordered(dtype: pa.DataType) -> bool:
    return bool(
        t.is_integer(dtype) or t.is_floating(dtype) or t.is_string(dtype) or t.is_date(dtype) or t.is_timestamp(dtype)
    )


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        # A time without a zone has none in the log either.
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else None
    return value


def partition_text(value: Any) -> str | None:
    """A partition's value as the log holds it; an empty text is null there."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        shown = value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        text = shown.isoformat("T" if value.tzinfo else " ", "microseconds")
        return f"{text}Z" if value.tzinfo else text
    if isinstance(value, Decimal):
        return f"{value:f}"  # not all readers know exponents
    return value.isoformat() if isinstance(value, date) else str(value)
