"""Arrow columns as the server's binary COPY takes them; a value that would change or be refused is an error."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.errors import DataError
from ingestion.loaders.postgres.types import PgType, wire

__all__ = ["as_json", "on_the_wire", "unfit"]

_FIRST_DAY = -2440588  # 4713-11-24 BC, in days from 1970
_FIRST_MICROSECOND = -210866803200000000
_BEFORE_LOCAL = pa.scalar(_FIRST_MICROSECOND, pa.int64())
_NUL_IN_JSON = r"(^|[^\\])(\\\\)*\\u0000"


def on_the_wire(values: pa.ChunkedArray, kind: PgType, column: str) -> pa.ChunkedArray:
    """*values* for a column of *kind*; raises DataError that names the column for one that does not fit."""
    try:
        converted = _converted(values, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(
            f"column {column!r} is {kind} and a value of the data does not fit ({str(error).splitlines()[0]}); "
            f"convert it in the transformer, or load into another table"
        ) from error
    reason = unfit(converted)[1]
    if reason:
        raise DataError(f"column {column!r}: {reason}; clean it in the transformer, or leave the column out")
    return converted


def _converted(values: pa.ChunkedArray, kind: PgType) -> pa.ChunkedArray:
    if t.is_null(values.type):
        return pa.chunked_array([pa.nulls(len(values), _raw(kind))])
    if kind.name in ("json", "jsonb"):
        return as_json(values) if kind.name == "json" else _marked(as_json(values))
    if kind.name == "uuid":
        return _uuids(values)
    values = _stored(values)
    if _is_text(values.type):
        return values if kind.name != "bytea" else values.cast(pa.binary())
    wanted = wire(kind)
    if values.type == wanted or t.is_null(wanted):
        return values
    if t.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if t.is_integer(values.type) and t.is_decimal(wanted):
        values = values.cast(pa.decimal256(76, wanted.scale))
    if kind.modifiers and t.is_timestamp(wanted) and kind.modifiers[0] < 6:
        values = values.cast(pa.timestamp("ms" if kind.modifiers[0] >= 3 else "s", wanted.tz))
    return values.cast(wanted)


def _stored(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not isinstance(values.type, pa.BaseExtensionType):
        return values
    return pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)


def _raw(kind: PgType) -> pa.DataType:
    """The type whose bytes the server reads as *kind*."""
    if kind.name == "uuid":
        return pa.binary(16)
    if kind.name == "jsonb":
        return pa.binary()
    return pa.decimal128(38, 0) if kind == PgType("numeric") else wire(kind)


def _is_text(dtype: pa.DataType) -> bool:
    inner = dtype.value_type if t.is_dictionary(dtype) else dtype
    return bool(t.is_string(inner) or t.is_large_string(inner) or t.is_string_view(inner))


def _uuids(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not _is_text(values.type):
        return _stored(values).cast(pa.binary(16))
    import polars as pl

    digits = pc.replace_substring_regex(values.cast(pa.string()), "[-{}]", "")
    if pc.all(pc.match_substring_regex(digits, "^[0-9a-fA-F]{32}$")).as_py() is False:
        raise pa.ArrowInvalid("a text is no UUID")
    series = pl.from_arrow(pa.table({"v": digits}))["v"].str.decode("hex", strict=True)  # type: ignore[index]  # polars declares a union
    return pa.chunked_array([series.to_arrow().cast(pa.binary()).cast(pa.binary(16))])


def as_json(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each value as JSON text, text as it stands; decimals are texts, so that no digit is lost."""
    values = _stored(values)
    if _is_text(values.type):
        return values.cast(pa.string())
    if _has_no_number(values):
        raise pa.ArrowInvalid("JSON has no NaN and no infinity")
    import polars as pl

    frame = pl.from_arrow(pa.table({"v": values}))
    text = frame.select(pl.struct("v").struct.json_encode()).to_series().to_arrow()  # type: ignore[union-attr]  # as above
    inner = pc.utf8_slice_codeunits(text.cast(pa.string()), len('{"v":'), -1)
    return pa.chunked_array([pc.if_else(pc.is_null(values.combine_chunks()), None, inner)])


def _has_no_number(values: pa.ChunkedArray) -> bool:
    if t.is_floating(values.type):
        return pc.all(pc.is_finite(values)).as_py() is False
    if t.is_struct(values.type):
        return any(_has_no_number(pc.struct_field(values, place)) for place in range(values.type.num_fields))
    if t.is_map(values.type):
        chunks = [chunk.items for chunk in values.chunks]
        return bool(chunks) and _has_no_number(pa.chunked_array(chunks))
    return bool(t.is_nested(values.type)) and _has_no_number(pc.list_flatten(values))


def _marked(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """As the binary form of jsonb: a version byte before the text."""
    if pc.any(pc.match_substring_regex(texts, _NUL_IN_JSON)).as_py():
        raise pa.ArrowInvalid("jsonb has no NUL character")
    return pc.binary_join_element_wise(pa.scalar("\x01"), texts, "").cast(pa.binary())


def unfit(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray | None, str]:
    """Which of *values* the server refuses in any column, and why; None and no text where it takes all."""
    if _is_text(values.type):
        return _with_nul(values)
    if t.is_date(values.type):
        early = pc.less(values.cast(pa.date32()).cast(pa.int32()), _FIRST_DAY)
    elif t.is_timestamp(values.type) and values.type.unit == "us":
        early = pc.less(values.cast(pa.int64()), _BEFORE_LOCAL)
    else:
        return None, ""
    if not pc.any(early).as_py():
        return None, ""
    return early, "a time lies before 4713 BC, where PostgreSQL's calendar begins"


def _with_nul(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray | None, str]:
    if not any(_may_have_nul(chunk) for chunk in values.chunks):
        return None, ""
    found = pc.match_substring(values.cast(pa.string()), "\0")
    return (found, "a text holds a NUL character, which PostgreSQL cannot") if pc.any(found).as_py() else (None, "")


def _may_have_nul(chunk: pa.Array) -> bool:
    """Whether a zero byte is among the texts, judged over the whole buffer, which costs next to nothing."""
    if t.is_dictionary(chunk.type):
        chunk = chunk.dictionary
    if t.is_string_view(chunk.type):
        return True
    offsets, data = chunk.buffers()[1:3]
    if data is None or offsets is None or not len(chunk):
        return False
    places = pa.Array.from_buffers(
        pa.int64() if t.is_large_string(chunk.type) else pa.int32(),
        len(chunk) + 1,
        [None, offsets],
        offset=chunk.offset,
    )
    start, end = places[0].as_py(), places[-1].as_py()
    octets = pa.Array.from_buffers(pa.uint8(), end - start, [None, data], offset=start)
    return bool(pc.min(octets).as_py() == 0)
