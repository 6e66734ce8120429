"""Rows as a driver gives them become rows of the types that their columns have; values that do not fit are rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.doubles import exact_decimals
from ingestion.connectors.databases.places import Places
from ingestion.connectors.databases.witnesses import Told, told_by
from ingestion.parsing import cast_or_null, cast_text, expectation, in_calendar, keep, misfit_reasons
from ingestion.plugins import Batch, Origin
from ingestion.quarantine import reject

__all__ = ["Fitting"]

_SHOWN = 200  # characters of a value
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
_BYTES = (pa.binary(), pa.large_binary())


class _Fitted(NamedTuple):
    """The values of one column: as their type, those that do not fit as null; and as they came."""

    typed: pa.Array
    read: pa.Array
    misfits: pa.Array  # indices
    texts: pa.Array  # of the misfits


class _Misfits(NamedTuple):
    """The rows that have some, each told by the first of them."""

    rows: pa.Array
    columns: pa.Array  # indices
    texts: pa.Array


class Fitting:
    """Makes batches of what was selected: the columns in their order, and perhaps WITNESS as the last."""

    def __init__(self, columns: Sequence[Column], places: Places) -> None:
        self.columns = tuple(columns)
        self.places = places
        self.schema = pa.schema([(column.name, column.dtype) for column in columns])

    @property
    def nothing(self) -> Batch:
        """The columns without a row."""
        records = pa.RecordBatch.from_pylist([], schema=self.schema)
        return Batch(records, self.places.origin(records, 0))

    def batch(self, selected: pa.RecordBatch, before: int, part: int = 0) -> Batch:
        """The rows of *selected* that fit, and the others as rejected; *before* others of *part* came before them."""
        told: Mapping[str, Told] = {}
        if selected.num_columns > len(self.columns):
            told = told_by(_texts(selected.column(len(self.columns))), self.schema.names)
        fitted = [
            _fitted(_plain(values), column, told.get(column.name))
            for column, values in zip(self.columns, selected.columns, strict=False)
        ]
        records = pa.RecordBatch.from_arrays([column.typed for column in fitted], schema=self.schema)
        origin = self.places.origin(records, before, part)
        if not any(len(column.misfits) for column in fitted):
            return Batch(records, origin)
        misfits = _first_misfits(fitted)
        taken = pc.is_in(pa.array(range(records.num_rows), pa.int64()), value_set=misfits.rows)
        good = pc.indices_nonzero(pc.invert(taken))
        return Batch(records.take(good), origin.take(good), self._rejected(fitted, misfits, origin))

    def _rejected(self, fitted: Sequence[_Fitted], misfits: _Misfits, origin: Origin) -> pa.RecordBatch:
        """The rows of *misfits* as they were read."""
        read = pa.RecordBatch.from_arrays([_payload(item, misfits.rows) for item in fitted], names=self.schema.names)
        return reject(
            read,
            pa.array(range(read.num_rows), pa.int64()),
            replace(origin.take(misfits.rows), read=None),
            stage="read",
            rule="type",
            columns=pa.array(self.schema.names, pa.string()).take(misfits.columns),
            values=misfits.texts,
            reasons=self.places.told(self._reasons(misfits.texts, misfits.columns), read),
        )

    def _reasons(self, texts: pa.Array, which: pa.Array) -> pa.Array:
        """Why each of *texts*, values of the columns with these indices, does not fit."""
        reasons = pa.nulls(len(texts), pa.string())
        for index in which.unique().to_pylist():
            column = self.columns[index]
            expected = f"{expectation(column.dtype)}, which {column.declared or 'that column'} becomes"
            told = misfit_reasons(texts, expected)
            if column.advice:
                advised = pc.binary_join_element_wise(told, column.advice, "; ")
                told = pc.if_else(pc.match_substring_regex(texts, column.advised), advised, told)
            reasons = pc.if_else(pc.equal(which, index), told, reasons)
        return reasons


def _first_misfits(fitted: Sequence[_Fitted]) -> _Misfits:
    columns = [pa.repeat(pa.scalar(i, pa.int32()), len(item.misfits)) for i, item in enumerate(fitted)]
    misfits = pa.table(
        {
            "row": pa.concat_arrays([item.misfits for item in fitted]),
            "column": pa.concat_arrays(columns),
            "text": pa.concat_arrays([item.texts for item in fitted]),
        }
    )
    first = misfits.group_by("row", use_threads=False).aggregate([("column", "first"), ("text", "first")])
    rows, which, texts = first.sort_by("row").combine_chunks().columns
    texts = pc.utf8_slice_codeunits(texts.combine_chunks(), 0, _SHOWN)
    return _Misfits(rows.combine_chunks(), which.combine_chunks(), texts)


def _plain(values: pa.Array) -> pa.Array:
    """The values without what an extension type says of them."""
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def _payload(column: _Fitted, rows: pa.Array) -> pa.Array:
    """What was read, as text where it is one: drivers may give the bytes of texts."""
    values = column.read.take(rows)
    if values.type not in _BYTES or column.typed.type in _BYTES:
        return values
    try:
        return pc.cast(values, pa.string())
    except pa.ArrowInvalid:
        return values


def _fitted(values: pa.Array, column: Column, told: Told | None) -> _Fitted:
    typed, wrong = _typed(values, column.dtype)
    if told is not None:
        typed, wrong = _with_told(typed, wrong, told, column.dtype)
        values = pc.replace_with_mask(_texts(values), told.mask, told.texts)
    if wrong is None:
        return _Fitted(typed, values, pa.array([], pa.int64()), pa.array([], pa.string()))
    rows = pc.cast(pc.indices_nonzero(wrong), pa.int64())
    return _Fitted(typed, values, rows, _texts(values.take(rows)))


def _with_told(
    typed: pa.Array, wrong: pa.BooleanArray | None, told: Told, dtype: pa.DataType
) -> tuple[pa.Array, pa.BooleanArray]:
    """What a witness tells in place of what was selected, where its text is a value that fits exactly."""
    if pa.types.is_nested(dtype):  # where it does not fit it was not selected
        return typed, told.mask if wrong is None else pc.or_(told.mask, wrong)
    if pa.types.is_floating(dtype) or dtype in (*_TEXTS, *_BYTES):
        found = pa.nulls(len(told.texts), dtype)
    else:
        found, _ = cast_text(told.texts, dtype)
    typed = pc.replace_with_mask(typed, told.mask, found)
    still = pc.replace_with_mask(told.mask, told.mask, pc.is_null(found))
    return typed, still if wrong is None else pc.if_else(told.mask, still, wrong)


def _typed(values: pa.Array, dtype: pa.DataType) -> tuple[pa.Array, pa.BooleanArray | None]:
    """*values* as *dtype*, and which of them do not fit; None where all do."""
    if values.type in (*_TEXTS, *_BYTES) and dtype not in (*_TEXTS, *_BYTES) and not pa.types.is_nested(dtype):
        text = cast_or_null(values, pa.string())
        typed, _ = cast_text(text, dtype)
        # A blank is none to a database, whatever it is in a file of texts; what was no text at all is lost, too.
        return typed, None if typed.null_count == values.null_count else _lost(values, typed)
    typed = values if values.type == dtype else _cast(values, dtype)
    inside = in_calendar(typed)
    return inside, None if inside.null_count == values.null_count else _lost(values, inside)


def _lost(values: pa.Array, typed: pa.Array) -> pa.BooleanArray:
    return pc.and_(pc.is_valid(values), pc.is_null(typed))


def _cast(values: pa.Array, dtype: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(dtype) and pa.types.is_floating(values.type):
        return exact_decimals(values, dtype)
    if pa.types.is_boolean(dtype) and pa.types.is_integer(values.type):
        return keep(pc.equal(values, 1), pc.or_(pc.equal(values, 0), pc.equal(values, 1)))
    return cast_or_null(values, dtype)


def _texts(values: pa.Array) -> pa.Array:
    """*values* as people are told of them; bytes that are no text in UTF-8 are replaced."""
    try:
        return pc.cast(values, pa.string())
    except pa.ArrowInvalid:
        read = (value and value.decode(errors="replace") for value in values.to_pylist())
        return pa.array(read, pa.string())
    except pa.ArrowNotImplementedError:
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
