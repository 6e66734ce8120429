"""Rows as a driver gives them become rows of the types that their columns have; values that do not fit are rejected."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.connectors.databases.columns import Column
from ingestion.parsing import cast_or_null, cast_text, expectation, in_calendar, misfit_reasons
from ingestion.plugins import Batch, Origin
from ingestion.quarantine import reject

__all__ = ["Fitting"]

_SHOWN = 200  # characters of a value
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())


class _Misfit(NamedTuple):
    column: str
    mask: pa.BooleanArray
    values: pa.Array  # as text
    reasons: pa.Array


class Fitting:
    """Makes batches of what was selected: the columns in their order, and perhaps WITNESS as the last."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.schema = pa.schema([(column.name, column.dtype) for column in columns])

    @property
    def nothing(self) -> pa.RecordBatch:
        """The columns without a row."""
        return pa.RecordBatch.from_pylist([], schema=self.schema)

    def batch(self, selected: pa.RecordBatch, origin: Origin) -> Batch:
        """The rows of *selected* that fit, and the others as rejected."""
        plain = [_plain(values) for values in selected.columns]
        arrays, misfits = [], []
        for column, values in zip(self.columns, plain, strict=False):
            typed, misfit = _fit(values, column)
            arrays.append(typed)
            if misfit is not None:
                misfits.append(misfit)
        records = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        read = pa.RecordBatch.from_arrays(plain[: len(arrays)], names=self.schema.names)
        if len(plain) > len(arrays):
            read, more = self._witnessed(read, plain[-1])
            misfits += more
        return _divided(records, read, misfits, origin) if misfits else Batch(records, origin)

    def _witnessed(self, read: pa.RecordBatch, witness: pa.Array) -> tuple[pa.RecordBatch, list[_Misfit]]:
        """What was read with the values in place that could not be selected, and these as misfits."""
        rows = pc.indices_nonzero(pc.is_valid(witness))
        if not len(rows):
            return read, []
        told = dict(zip(rows.to_pylist(), map(json.loads, witness.take(rows).to_pylist()), strict=True))
        misfits = []
        for index, column in enumerate(self.columns):
            found = {
                row: str(values[column.name]) for row, values in told.items() if values.get(column.name) is not None
            }
            if not found:
                continue
            texts = pa.array([found.get(row) for row in range(read.num_rows)], pa.string())
            whole = pc.coalesce(texts, pc.cast(read.column(index), pa.string()))
            read = read.set_column(index, column.name, whole)
            reasons = _reasons(texts, column)
            misfits.append(_Misfit(column.name, pc.is_valid(texts), texts, reasons))
        return read, misfits


def _plain(values: pa.Array) -> pa.Array:
    """The values without what an extension type says of them."""
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def _fit(values: pa.Array, column: Column) -> tuple[pa.Array, _Misfit | None]:
    typed, wrong = _typed(values, column.dtype)
    if wrong is None or not pc.any(wrong).as_py():
        return typed, None
    texts = pc.cast(values, pa.string())
    return typed, _Misfit(column.name, wrong, texts, _reasons(texts, column))


def _typed(values: pa.Array, dtype: pa.DataType) -> tuple[pa.Array, pa.BooleanArray | None]:
    """*values* as *dtype*, and which of them do not fit; None where all do."""
    if values.type in _TEXTS and dtype not in _TEXTS and not pa.types.is_nested(dtype):
        typed, wrong = cast_text(pc.cast(values, pa.string()), dtype)
        return typed, wrong
    typed = values if values.type == dtype else _cast(values, dtype)
    inside = in_calendar(typed)
    if inside.null_count == values.null_count:
        return inside, None
    return inside, pc.and_(pc.is_valid(values), pc.is_null(inside))


def _cast(values: pa.Array, dtype: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(dtype) and pa.types.is_floating(values.type):
        return _exact(values, dtype)
    return cast_or_null(values, dtype)


def _exact(values: pa.Array, dtype: pa.DataType) -> pa.Array:
    """Decimals for doubles that a decimal of that scale was stored as; null for others."""
    finite = pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
    found = cast_or_null(finite, dtype)
    same = pc.equal(pc.cast(found, values.type), values)
    return pc.if_else(same, found, pa.scalar(None, dtype))


def _reasons(texts: pa.Array, column: Column) -> pa.Array:
    return misfit_reasons(texts, f"{expectation(column.dtype)}, which {column.declared} becomes")


def _divided(records: pa.RecordBatch, read: pa.RecordBatch, misfits: list[_Misfit], origin: Origin) -> Batch:
    """The rows without misfits, and the others rejected for the first of theirs."""
    names = values = reasons = pa.nulls(records.num_rows, pa.string())
    for misfit in misfits:
        new = pc.and_(misfit.mask, pc.is_null(names))
        names = pc.if_else(new, misfit.column, names)
        values = pc.if_else(new, misfit.values, values)
        reasons = pc.if_else(new, misfit.reasons, reasons)
    bad = pc.indices_nonzero(pc.is_valid(names))
    good = pc.indices_nonzero(pc.is_null(names))
    rejected = reject(
        read,
        bad,
        replace(origin, read=None),
        stage="read",
        rule="type",
        columns=names.take(bad),
        values=pc.utf8_slice_codeunits(values.take(bad), 0, _SHOWN),
        reasons=reasons.take(bad),
    )
    return Batch(records.take(good), origin.take(good), rejected)
