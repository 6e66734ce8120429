"""Bytes of MySQL's binary protocol become Arrow's columns, a column at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pymysql.constants import FIELD_TYPE, FLAG

from ingestion.connectors.databases.mysql.fields import is_binary
from ingestion.connectors.databases.mysql.protocol import Field, Rows
from ingestion.connectors.databases.mysql.times import clocks, moments
from ingestion.errors import DataError

__all__ = ["decoded"]

_Bytes = NDArray[np.uint8]
_Places = NDArray[np.int64]
_Nulls = NDArray[np.bool_] | None

_NUMBERS: Mapping[int, tuple[str, str]] = {  # signed, unsigned
    FIELD_TYPE.TINY: ("i1", "u1"),
    FIELD_TYPE.SHORT: ("<i2", "<u2"),
    FIELD_TYPE.YEAR: ("<i2", "<u2"),
    FIELD_TYPE.INT24: ("<i4", "<u4"),
    FIELD_TYPE.LONG: ("<i4", "<u4"),
    FIELD_TYPE.LONGLONG: ("<i8", "<u8"),
    FIELD_TYPE.FLOAT: ("<f4", "<f4"),
    FIELD_TYPE.DOUBLE: ("<f8", "<f8"),
}
_TIMES: Mapping[int, Callable[[NDArray[np.void], _Places, _Nulls], pa.Array]] = {
    FIELD_TYPE.DATE: lambda parts, lengths, nulls: moments(parts, lengths, nulls, pa.date32()),
    FIELD_TYPE.NEWDATE: lambda parts, lengths, nulls: moments(parts, lengths, nulls, pa.date32()),
    FIELD_TYPE.DATETIME: lambda parts, lengths, nulls: moments(parts, lengths, nulls, pa.timestamp("us")),
    FIELD_TYPE.TIMESTAMP: lambda parts, lengths, nulls: moments(parts, lengths, nulls, pa.timestamp("us", "UTC")),
    FIELD_TYPE.TIME: clocks,
}
_SHORT = 12  # bytes that a view of Arrow's holds itself
_KEPT = np.tri(_SHORT + 1, _SHORT, -1, dtype=np.uint8) * np.uint8(255)  # the first n bytes, as a mask


def decoded(rows: Rows, fields: Sequence[Field]) -> pa.RecordBatch:
    """*rows* as Arrow; dates and times that no calendar has are texts, and all others of that column too."""
    size = (len(fields) + 9) // 8  # the first two bits stand for nothing
    bitmap = _taken(rows.data, rows.starts + 1, f"V{size}").view(np.uint8).reshape(-1, size)
    occurring = np.bitwise_or.reduce(bitmap, axis=0)
    at = rows.starts + 1 + size
    arrays = []
    for number, field in enumerate(fields, 2):
        byte, bit = divmod(number, 8)
        nulls = (bitmap[:, byte] >> bit & 1).astype(bool) if occurring[byte] >> bit & 1 else None
        array, at = _column(rows.data, at, nulls, field)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, [field.name for field in fields])


def _column(data: _Bytes, at: _Places, nulls: _Nulls, field: Field) -> tuple[pa.Array, _Places]:
    """The values that begin *at*, and where the next column does."""
    if field.type_code in _NUMBERS:
        dtype = np.dtype(_NUMBERS[field.type_code][bool(field.flags & FLAG.UNSIGNED)])
        return pa.array(_taken(data, at, dtype), mask=nulls), at + _width(dtype.itemsize, nulls)
    if field.type_code in _TIMES:
        parts = _taken(data, at, "V13")
        lengths = data[at].astype(np.int64)
        if nulls is not None:
            lengths[nulls] = 0
        return _TIMES[field.type_code](parts, lengths, nulls), at + lengths + _width(1, nulls)
    if field.type_code == FIELD_TYPE.NULL:
        return pa.nulls(len(at)), at
    lengths, begin = _lengths(data, at, nulls)
    return _texts(data, begin, lengths, nulls, field), begin + lengths


def _taken(data: _Bytes, at: _Places, dtype: "np.dtype[Any] | str") -> NDArray[Any]:
    """The values of *dtype* at places that no alignment binds."""
    dtype = np.dtype(dtype)
    anywhere: NDArray[Any] = np.ndarray((len(data) - dtype.itemsize + 1,), dtype, data, strides=(1,))
    return anywhere[at]


def _width(size: int, nulls: _Nulls) -> "int | NDArray[np.int64]":
    """The bytes that each value takes; a null takes none."""
    return size if nulls is None else np.where(nulls, np.int64(0), np.int64(size))


def _lengths(data: _Bytes, at: _Places, nulls: _Nulls) -> tuple[_Places, _Places]:
    """How long texts are, and where they begin, behind their lengths."""
    first = data[at]
    if nulls is not None:
        first[nulls] = 0
    if not len(first) or first.max() < 0xFB:
        return first.astype(np.int64), at + _width(1, nulls)
    following = _taken(data, at + 1, "<u8").view(np.uint64)
    sizes = np.select([first < 0xFB, first == 0xFC, first == 0xFD], [0, 2, 3], 8)  # bytes of the length itself
    shifts = np.array([64, 0, 48, 40, 0, 0, 0, 0, 0], np.uint64)[sizes]
    longer = following << shifts >> shifts
    lengths = np.where(sizes == 0, first, longer.astype(np.int64))
    begin = at + sizes + 1
    return (lengths, begin) if nulls is None else (np.where(nulls, 0, lengths), np.where(nulls, at, begin))


def _texts(data: _Bytes, begin: _Places, lengths: _Places, nulls: _Nulls, field: Field) -> pa.Array:
    """By Arrow's views, which point into *data* and are then copied out of it."""
    views = np.empty(len(begin), np.dtype([("length", "<i4"), ("bytes", f"V{_SHORT}")]))
    views["length"] = lengths
    inside = _taken(data, begin, f"V{_SHORT}").view(np.uint8).reshape(-1, _SHORT)
    views["bytes"] = (inside & _KEPT[np.minimum(lengths, _SHORT)]).view(f"V{_SHORT}").reshape(-1)
    long = np.flatnonzero(lengths > _SHORT)
    pointers = views.view(np.dtype([("length", "<i4"), ("prefix", "V4"), ("buffer", "<i4"), ("offset", "<i4")]))
    pointers["buffer"][long] = 0
    pointers["offset"][long] = begin[long]
    valid = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    buffers = [valid, pa.py_buffer(views), pa.py_buffer(data)]
    found = pc.cast(pa.Array.from_buffers(pa.binary_view(), len(begin), buffers), pa.binary())
    if is_binary(field):
        return found
    try:
        return pc.cast(found, pa.string())
    except pa.ArrowInvalid as error:
        raise DataError(
            f"column {field.name!r} holds bytes that are no UTF-8; leave it out or select HEX of it"
        ) from error
