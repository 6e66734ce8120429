"""A column of any type becomes the type that an option asks for, losslessly or not at all."""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.parsing import cast_or_null, keep, type_name
from ingestion.plugins import Origin
from ingestion.transformers.readers import DateReader, TextReader

__all__ = ["Conversion", "Converted"]


class Converted(NamedTuple):
    """A column after its conversion; misfits are null in *values*."""

    values: pa.Array
    misfits: pa.BooleanArray | None = None  # None = there are none
    text: pa.Array | None = None  # what was read, where there are misfits


class Conversion(NamedTuple):
    """Which option asks for a column's type, and how the column's texts are read."""

    column: str
    rule: str
    reader: TextReader

    def apply(self, values: pa.Array, origin: Origin) -> Converted:
        """*values* in the type of the reader; raises ConfigError for a column that has no text form, such as a list."""
        if pa.types.is_dictionary(values.type):
            values = pc.cast(values, values.type.value_type)
        direct = self._direct(values)
        if direct is not None:
            return Converted(direct)
        text, broken = self._as_text(values)
        reader = self.reader
        if pa.types.is_temporal(values.type) and pa.types.is_temporal(reader.dtype):
            reader = DateReader(reader.dtype)  # Arrow writes ISO 8601, whatever the formats of texts are
        typed, misfits = reader.read(text)
        reader.check(text, origin)
        if broken is not None:
            typed, misfits = keep(typed, pc.invert(broken)), pc.or_(misfits, broken)
        return Converted(typed, misfits, text) if pc.any(misfits).as_py() else Converted(typed)

    def _direct(self, values: pa.Array) -> pa.Array | None:
        """The column where its type needs no text in between; None where a value does not fit as it is."""
        dtype = self.reader.dtype
        if values.type == dtype or (self.rule == "numeric_columns" and _is_number(values.type)):
            return values
        if pa.types.is_null(values.type):
            return pa.nulls(len(values), dtype)
        if not _is_lossless(values.type, dtype):
            return None
        try:
            return pc.cast(values, dtype)
        except pa.ArrowInvalid:
            return None

    def _as_text(self, values: pa.Array) -> tuple[pa.Array, pa.BooleanArray | None]:
        """The values as text, and which of them are bytes that are none; these stand there with escapes."""
        try:
            return pc.cast(values, pa.string()), None
        except pa.ArrowInvalid:
            text = cast_or_null(values, pa.string())
            broken = pc.and_(pc.is_valid(values), pc.is_null(text))
            escaped = [value.decode(errors="backslashreplace") for value in values.filter(broken).to_pylist()]
            return pc.replace_with_mask(text, broken, pa.array(escaped, pa.string())), broken
        except pa.ArrowNotImplementedError as error:
            raise ConfigError(
                f"transformer.{self.rule}: column {self.column!r} holds {values.type}, which cannot become "
                f"{type_name(self.reader.dtype)}; take it out of {self.rule}"
            ) from error


def _is_number(dtype: pa.DataType) -> bool:
    return _is_binary_number(dtype) or bool(pa.types.is_decimal(dtype))


def _is_binary_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def _is_lossless(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether Arrow's safe cast keeps the value or refuses; it takes integers for epochs and shifts zones, for one."""
    types = pa.types
    if types.is_decimal(target):
        return bool(types.is_integer(source) or types.is_decimal(source))
    if _is_binary_number(target):
        return _is_binary_number(source)
    if types.is_timestamp(target):
        if types.is_timestamp(source):
            return (source.tz is None) == (target.tz is None)
        return bool(types.is_date(source)) and target.tz is None
    return bool(types.is_string(target) or types.is_binary(target)) and not types.is_nested(source)
