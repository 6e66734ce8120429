"""Keys are compared by their digests, which say the same of the same values in columns of one kind only."""

import pyarrow as pa
import pyarrow.types as t

from ingestion.errors import DataError

__all__ = ["KeyKinds"]

_KINDS = {
    "whole numbers": (t.is_signed_integer, t.is_uint8, t.is_uint16, t.is_uint32),
    "floating numbers": (t.is_floating,),
    "texts": (t.is_string, t.is_large_string, t.is_string_view),
    "bytes": (t.is_binary, t.is_large_binary, t.is_binary_view, t.is_fixed_size_binary),
}


class KeyKinds:
    """Holds the keys of one load to columns whose digests can be compared; *what* names the option for an error."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._schema: pa.Schema | None = None
        self._types: dict[str, pa.DataType] = {}

    def agree(self, schema: pa.Schema) -> None:
        """Raises DataError where a column of the keys has another kind of type than before; null is of every kind."""
        if schema == self._schema:
            return
        self._schema = schema
        for field in schema:
            known = self._types.get(field.name, pa.null())
            if pa.types.is_null(known):
                self._types[field.name] = field.type
            elif not pa.types.is_null(field.type) and _kind(field.type) != _kind(known):
                raise DataError(
                    f"{self._what}: column {field.name!r} has values of type {known} first and of type {field.type} "
                    f"later, and they cannot be compared; give it one type by transformer.types"
                )


def _kind(dtype: pa.DataType) -> object:
    if t.is_dictionary(dtype):
        return _kind(dtype.value_type)
    if isinstance(dtype, pa.BaseExtensionType):
        return _kind(dtype.storage_type)
    if t.is_decimal(dtype):
        return ("decimal", dtype.scale, dtype.bit_width > 128)
    return next((name for name, kinds in _KINDS.items() if any(kind(dtype) for kind in kinds)), dtype)
