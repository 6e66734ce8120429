"""Rows as they were read get the types in which today's job wants them; values that do not fit reject their rows."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion import quarantine
from ingestion.parsing import cast_text, expectation, misfit_reasons
from ingestion.plugins import Batch, known_type

__all__ = ["common_types", "fitted", "loses_spelling"]

_READ = (t.is_boolean, t.is_integer, t.is_floating, t.is_decimal, t.is_date32, t.is_time, t.is_timestamp, t.is_string)


class _Misfits(NamedTuple):
    column: str
    mask: pa.BooleanArray
    text: pa.Array
    dtype: pa.DataType


def common_types(schemas: Iterable[pa.Schema]) -> dict[str, pa.DataType]:
    """Every column of *schemas*; of several types of numbers the one that holds all, else text where they differ."""
    types: dict[str, pa.DataType] = {}
    for column in (column for schema in schemas for column in schema):
        types[column.name] = _common(types.get(column.name, pa.null()), column.type)
    return types


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other or t.is_null(other):
        return one
    if t.is_null(one):
        return other
    if _is_number(one) and _is_number(other):
        fields = [pa.schema([("", dtype)]) for dtype in (one, other)]
        with suppress(pa.ArrowTypeError, pa.ArrowInvalid):  # no number has room for both
            return pa.unify_schemas(fields, promote_options="permissive").field(0).type
    return pa.string()


def _is_number(dtype: pa.DataType) -> bool:
    return any(check(dtype) for check in (t.is_integer, t.is_floating, t.is_decimal))


def loses_spelling(read: pa.Schema, wanted: pa.Schema | None) -> bool:
    """Whether values were read as numbers, say, that are *wanted* as text: 2.10 would be '2.1'."""
    others = (column for column in read if _is_read(column.type) and not t.is_string(column.type))
    return any(known_type(wanted, column.name) == pa.string() for column in others)


def fitted(batch: Batch, types: Mapping[str, pa.DataType]) -> Batch:
    """The batch with the columns of *types* and no others; rows with values that do not fit are rejected."""
    columns, misfits = [], list[_Misfits]()
    for name, dtype in types.items():
        values, misfit = _column(batch.records, name, dtype)
        columns.append(values)
        misfits += [misfit] if misfit is not None else []
    records = pa.RecordBatch.from_arrays(columns, names=list(types))
    if not misfits:
        return batch._replace(records=records)
    good, rejected = pa.repeat(pa.scalar(value=True), batch.records.num_rows), [batch.rejected]
    for found in misfits:
        rejected.append(_rejected(batch, pc.and_(good, found.mask), found))
        good = pc.and_not(good, found.mask)
    kept = pc.cast(pc.indices_nonzero(good), pa.int64())
    return Batch(records.take(kept), batch.origin.take(kept), quarantine.concat(rejected))


def _column(records: pa.RecordBatch, name: str, dtype: pa.DataType) -> tuple[pa.Array, _Misfits | None]:
    if name not in records.schema.names:
        return pa.nulls(records.num_rows, dtype), None
    values = records.column(name)
    if t.is_null(values.type):
        return pa.nulls(records.num_rows, dtype), None
    if values.type == dtype or not (_is_read(values.type) and _is_read(dtype)):
        return values, None
    text = pc.cast(values, pa.string())
    typed, mask = cast_text(text, dtype)
    return typed, _Misfits(name, mask, text, dtype) if pc.any(mask).as_py() else None


def _is_read(dtype: pa.DataType) -> bool:
    return any(check(dtype) for check in _READ)


def _rejected(batch: Batch, mask: pa.BooleanArray, found: _Misfits) -> pa.RecordBatch:
    rows = pc.indices_nonzero(mask)
    texts = found.text.take(rows)
    return quarantine.reject(
        batch.records,
        rows,
        batch.origin,
        stage="read",
        rule="type",
        columns=found.column,
        values=texts,
        reasons=misfit_reasons(texts, expectation(found.dtype)),
    )
