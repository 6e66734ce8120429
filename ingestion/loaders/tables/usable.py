"""Whether the data has the columns that options name, with values that say what they are asked for."""

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import DataError
from ingestion.parsing import type_name
from ingestion.plugins import Batch

__all__ = ["check_usable", "deletes", "plain"]


def check_usable(batch: Batch, column: str, option: str) -> None:
    """Raise DataError where *batch* lacks the *column* that *option* names, or has it in a type of no use."""
    source, schema = batch.origin.source, batch.records.schema
    if column not in schema.names:
        raise DataError(f"{source}: loader.{option} names the column {column!r}, {_lacked(column, schema)}")
    values = plain(batch.records[column])
    if option == "delete_column":
        if not _tells(values):
            raise DataError(
                f"{source}: loader.delete_column names the column {column!r}, which holds {type_name(values.type)}, "
                f"and it is true, a number other than 0 or a date that deletes; convert it by "
                f"transformer.boolean_columns: [{column}], or by date_columns"
            )
    elif pa.types.is_nested(values.type):
        raise DataError(
            f"{source}: loader.{option} names the column {column!r}, which holds {values.type}; only plain values "
            f"can be compared, name a column of those"
        )


def _lacked(column: str, schema: pa.Schema) -> str:
    alike = next((name for name in schema.names if name.casefold() == column.casefold()), None)
    if alike is None:
        return (
            f"which the data lacks, it has: {', '.join(schema.names)}; correct the name, or bring the column by "
            f"transformer.column_mapping"
        )
    return (
        f"which the data lacks, did you mean {alike!r}? Write that, or rename it by transformer.column_mapping: "
        f"{{{alike}: {column}}}"
    )


def deletes(values: pa.Array) -> pa.BooleanArray:
    """For each value of a delete_column whether its row deletes: true does, a number but 0, and any date or time.

    Raises DataError for values of another type, of which nobody can tell what they say.
    """
    values = plain(values)
    if not _tells(values):
        raise DataError(f"loader.delete_column names a column of {type_name(values.type)}; make it boolean")
    if pa.types.is_boolean(values.type):
        return pc.fill_null(values, fill_value=False)
    if _is_whole(values.type):
        return pc.fill_null(pc.not_equal(values, pa.scalar(0, values.type)), fill_value=False)
    return pc.is_valid(values)


def _tells(values: pa.Array) -> bool:
    """Whether everybody agrees which values delete; nulls alone never do."""
    known = pa.types.is_boolean(values.type) or pa.types.is_temporal(values.type) or _is_whole(values.type)
    return known or values.null_count == len(values)


def _is_whole(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or (pa.types.is_decimal(dtype) and dtype.scale <= 0))


def plain(values: pa.Array) -> pa.Array:
    """*values* without a dictionary."""
    return pc.cast(values, values.type.value_type) if pa.types.is_dictionary(values.type) else values
