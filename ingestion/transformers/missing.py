"""Values in the place of nulls."""

from collections.abc import Mapping
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.parsing import cast_text, type_name
from ingestion.plugins import Batch
from ingestion.transformers.steps import BatchStep, Seen

__all__ = ["Filling"]

_KEY = "handle_missing_values.fill_null"

Plain: TypeAlias = bool | int | float | str


class Filling(BatchStep):
    """Puts one value in every column that it fits, or to each of some columns its own."""

    def __init__(self, values: Mapping[str, Plain] | Plain) -> None:
        self._all = None if isinstance(values, Mapping) else values
        self._own = values if isinstance(values, Mapping) else {}
        self._seen = Seen()

    def change(self, batch: Batch) -> Batch:
        """The batch with the values; raises ConfigError where one of a column does not fit its type."""
        records = batch.records
        self._seen.note(records.schema.names)
        for index, field in enumerate(records.schema):
            value = self._own.get(field.name, self._all)
            dtype = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            filling = None if value is None else _fitting(value, dtype, lenient=self._all is not None)
            if filling is not None:
                filled = pc.fill_null(pc.cast(records.column(index), filling.type), filling)
                records = records.set_column(index, field.with_type(filled.type), filled)
            elif value is not None and self._all is None:
                raise ConfigError(
                    f"transformer.{_KEY}: {value!r} is no value for column {field.name!r}, which holds "
                    f"{type_name(dtype)}; write one of that type, or name the column in transformer.types"
                )
        return batch._replace(records=records)

    def finish(self) -> None:
        """Raise ConfigError for a column that no batch had."""
        self._seen.require(self._own, _KEY)


def _fitting(value: Plain, dtype: pa.DataType, *, lenient: bool) -> pa.Scalar | None:
    """*value* as one of *dtype*; None where it is none. Texts become dates only where not *lenient*."""
    if pa.types.is_null(dtype):
        return None if lenient else _scalar(value)
    if _is_text(dtype) and isinstance(value, str):
        return pa.scalar(value, dtype)
    if isinstance(value, str):
        return None if lenient or not pa.types.is_temporal(dtype) else _moment(value, dtype)
    if isinstance(value, bool):
        return pa.scalar(value) if pa.types.is_boolean(dtype) else None
    return _number(value, dtype) if _is_number(dtype) else None


def _number(value: float, dtype: pa.DataType) -> pa.Scalar | None:
    try:
        # a decimal as it is written: 0.1, and not what a double makes of it
        found = pa.scalar(repr(value)) if pa.types.is_decimal(dtype) else _scalar(value)
        return None if found is None else found.cast(dtype)
    except pa.ArrowInvalid:
        return None


def _scalar(value: Plain) -> pa.Scalar | None:
    """The value as Arrow has it; None for a whole number that it has no type for."""
    is_large = isinstance(value, int) and value >= 1 << 63
    try:
        return pa.scalar(value, pa.uint64() if is_large else None)
    except OverflowError:
        return None


def _moment(value: str, dtype: pa.DataType) -> pa.Scalar | None:
    typed, _ = cast_text(pa.array([value]), dtype)
    return typed[0] if typed[0].is_valid else None


def _is_text(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype))


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype))
