"""Arrow types as tables hold them, and values brought into them without silent loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.types as t

from ingestion.errors import DataError
from ingestion.stream import is_list

__all__ = ["TEXT_DICTIONARY", "Relation", "Storage", "Unlike", "cast", "joined", "relation", "typed"]

TEXT_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
"""Repeated texts go to Parquet as they come; readers see plain strings."""

Relation: TypeAlias = Literal["same", "fits", "wider", "other"]
Own: TypeAlias = tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], pa.DataType]]

_WIDTHS = ((pa.int8(), pa.int16(), pa.int32(), pa.int64()), (pa.float32(), pa.float64()))
_SIMPLE: dict[pa.DataType, pa.DataType] = {
    pa.bool_(): pa.bool_(),
    pa.int8(): pa.int32(),
    pa.int16(): pa.int32(),
    pa.int32(): pa.int32(),
    pa.uint8(): pa.int32(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.int64(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.float32(): pa.float32(),
    pa.float64(): pa.float64(),
    pa.string(): pa.string(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.binary(): pa.binary(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.date32(): pa.date32(),
    pa.date64(): pa.date32(),
    pa.null(): pa.null(),
}


@dataclass(frozen=True)
class Storage:
    """The types in which one kind of table holds values; *own* is what it does otherwise than the rest."""

    kind: str  # as in a sentence: an Iceberg table
    own: Sequence[Own] = ()

    def plain(self, dtype: pa.DataType, column: str) -> pa.DataType:
        """The type in which the table holds values of *dtype*; raises DataError for one that it cannot hold."""
        for applies, convert in self.own:
            if applies(dtype):
                return convert(dtype)
        simple = _SIMPLE.get(dtype)
        return self._composed(dtype, column) if simple is None else simple

    def _composed(self, dtype: pa.DataType, column: str) -> pa.DataType:
        if t.is_timestamp(dtype):
            return pa.timestamp("us", "UTC" if dtype.tz else None)
        if t.is_time(dtype):
            return pa.time64("us")
        if t.is_fixed_size_binary(dtype) or dtype == pa.uuid():
            return dtype
        if t.is_decimal(dtype):
            return self._decimal(dtype, column)
        inner = _inner(dtype)
        return self._nested(dtype, column) if inner is None else self.plain(inner, column)

    def _decimal(self, dtype: pa.DataType, column: str) -> pa.DataType:
        if dtype.precision > 38 or not 0 <= dtype.scale <= dtype.precision:
            advice = "decimals have at most 38 digits and a scale from 0 to that; convert it to text"
            raise self._refused(dtype, column, advice)
        return pa.decimal128(dtype.precision, dtype.scale)

    def _nested(self, dtype: pa.DataType, column: str) -> pa.DataType:
        if is_list(dtype):
            return pa.list_(self.plain(dtype.value_type, f"{column}[]"))
        if t.is_map(dtype):
            key, item = self.plain(dtype.key_type, f"{column}.key"), self.plain(dtype.item_type, f"{column}.value")
            return pa.map_(key, item)
        if not t.is_struct(dtype):
            raise self._refused(dtype, column, "convert it to a number, a time or text first")
        if not dtype.num_fields:
            raise self._refused(dtype, column, "drop it or convert it to JSON text")
        return pa.struct([pa.field(item.name, self.plain(item.type, f"{column}.{item.name}")) for item in dtype])

    def _refused(self, dtype: pa.DataType, column: str, advice: str) -> DataError:
        return DataError(f"column {column!r} is of type {dtype}, which {self.kind} cannot hold; {advice}")


def _inner(dtype: pa.DataType) -> pa.DataType | None:
    """The type of the values that *dtype* holds in another form."""
    if t.is_dictionary(dtype):
        return dtype.value_type
    return dtype.storage_type if isinstance(dtype, pa.BaseExtensionType) else None


def relation(data: pa.DataType, table: pa.DataType) -> Relation:
    """How a plain type of the data meets the table's; what fits does so by a checked cast."""
    if data == table:
        return "same"
    if t.is_nested(data) and data.id == table.id:
        try:
            return "fits" if joined(data, table, "") == table else "wider"
        except Unlike:
            return "other"
    if t.is_decimal(data) and t.is_decimal(table) and data.scale == table.scale:
        return "fits" if data.precision <= table.precision else "wider"
    if any(data in widths and table in widths and widths.index(table) < widths.index(data) for widths in _WIDTHS):
        return "wider"
    return "fits" if _may_fit(data, table) else "other"


def _may_fit(data: pa.DataType, table: pa.DataType) -> bool:
    """Whether there are values of *data* that *table* holds exactly, and a cast that tells them from the others."""
    number = t.is_integer(data) or t.is_floating(data)
    if (t.is_integer(data) and t.is_decimal(table)) or (number and t.is_floating(table)):
        return True
    whole = t.is_integer(data) or (t.is_decimal(data) and data.scale == 0)
    return bool(whole and t.is_integer(table))


class Unlike(Exception):
    """No type that a column may be widened to holds the values of both."""

    def __init__(self, path: str, data: pa.DataType, table: pa.DataType) -> None:
        super().__init__(f"{path} is {table}, the data brings {data}")
        self.path, self.data, self.table = path, data, table


def joined(data: pa.DataType, table: pa.DataType, path: str) -> pa.DataType:
    """The table's type, widened and with more fields where the data needs it; raises Unlike where that is no help."""
    if t.is_struct(data) and t.is_struct(table):
        brought = {item.name: item for item in data}
        kept = [_joined_field(brought.pop(item.name, item), item, f"{path}.{item.name}") for item in table]
        return pa.struct([*kept, *(pa.field(item.name, item.type) for item in brought.values())])
    if t.is_list(data) and t.is_list(table):
        return pa.list_(_joined_field(data.value_field, table.value_field, f"{path}.element"))
    if t.is_map(data) and t.is_map(table) and relation(data.key_type, table.key_type) in ("same", "fits"):
        return pa.map_(table.key_field, _joined_field(data.item_field, table.item_field, f"{path}.value"))
    how = "other" if t.is_nested(data) else relation(data, table)
    if how == "other":
        raise Unlike(path, data, table)
    return data if how == "wider" else table


def _joined_field(data: pa.Field, table: pa.Field, path: str) -> pa.Field:
    return table.with_type(joined(data.type, table.type, path))


def typed(dtype: pa.DataType, like: pa.DataType | None) -> pa.DataType:
    """*dtype* with the parts that hold nothing but nulls as they are in *like*, text where it has none."""
    if t.is_null(dtype):
        return pa.string() if like is None else like
    if t.is_list(dtype):
        return pa.list_(typed(dtype.value_type, like.value_type if like is not None and t.is_list(like) else None))
    if t.is_map(dtype):
        key, item = (like.key_type, like.item_type) if like is not None and t.is_map(like) else (None, None)
        return pa.map_(typed(dtype.key_type, key), typed(dtype.item_type, item))
    if t.is_struct(dtype):
        inner = {item.name: item.type for item in like} if like is not None and t.is_struct(like) else {}
        return pa.struct([item.with_type(typed(item.type, inner.get(item.name))) for item in dtype])
    return dtype


def cast(values: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """*values* as *dtype*; raises ArrowInvalid where a value would change."""
    if values.type == dtype:
        return values
    if dtype == TEXT_DICTIONARY:
        return _as_dictionary(values)
    if isinstance(values.type, pa.BaseExtensionType) and not isinstance(dtype, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    if t.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if t.is_integer(values.type) and t.is_decimal(dtype):
        values = values.cast(pa.decimal256(76, dtype.scale))  # any integer fits; whether it fits *dtype* is seen next
    return values.cast(dtype)


def _as_dictionary(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not t.is_dictionary(values.type):
        return values.cast(pa.string()).dictionary_encode()
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int32()), chunk.dictionary.cast(pa.string()))
        for chunk in values.chunks
    ]
    return pa.chunked_array(chunks, TEXT_DICTIONARY)
