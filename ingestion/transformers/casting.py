"""Renaming and conversion of one run's batches: columns that do not fit leave their rows behind as rejected."""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion import quarantine
from ingestion.errors import ConfigError, DataError
from ingestion.plugins import Batch
from ingestion.transformers.conversions import Conversion, Converted

__all__ = ["Casting"]


class Casting:
    """Applies *conversions* to every batch of one run; untouched columns are not copied."""

    def __init__(
        self,
        mapping: Mapping[str, str],
        conversions: Sequence[Conversion],
        on_error: Literal["quarantine", "null", "fail"],
    ) -> None:
        self._mapping = mapping
        self._conversions = conversions
        self._on_error = on_error
        self._names: Sequence[str] = ()  # of the batch before
        self._seen: dict[str, None] = {}  # every column that the source had so far

    def apply(self, batch: Batch) -> Batch:
        """The batch with new names and types; its schema does not depend on which values fit."""
        if not batch.records.num_columns:  # nothing was there to be read
            return batch
        self._note_names(batch.records.schema.names)
        columns = dict(zip(self._renamed(batch.records.schema.names), batch.records.columns, strict=True))
        misfits: list[tuple[Conversion, Converted]] = []
        for conversion in self._conversions:
            if conversion.column not in columns:
                continue
            converted = conversion.apply(columns[conversion.column])
            columns[conversion.column] = converted.values
            if converted.misfits is not None:
                misfits.append((conversion, converted))
        records = pa.RecordBatch.from_arrays(list(columns.values()), schema=_schema(batch.records, columns))
        return self._settle(batch, records, misfits) if misfits else batch._replace(records=records)

    def finish(self) -> None:
        """Raise ConfigError for a column that an option names and no batch had; files may differ in their columns."""
        if not self._seen:
            return
        for old in self._mapping:
            _require(old, "column_mapping", list(self._seen))
        for conversion in self._conversions:
            _require(conversion.column, conversion.rule, self._renamed(list(self._seen)))

    def _note_names(self, names: Sequence[str]) -> None:
        """Remember columns that are new, and raise ConfigError where a new name is taken."""
        if names == self._names:
            return
        self._names = names
        self._seen |= dict.fromkeys(names)
        for name, count in Counter(self._renamed(names)).items():
            if count > 1:
                raise ConfigError(f"column_mapping: the source has a column {name!r} already; choose another new name")

    def _renamed(self, names: Sequence[str]) -> list[str]:
        return [self._mapping.get(name, name) for name in names]

    def _settle(self, batch: Batch, records: pa.RecordBatch, misfits: Sequence[tuple[Conversion, Converted]]) -> Batch:
        if self._on_error == "null":
            emptied = Counter(batch.emptied)
            for conversion, converted in misfits:
                emptied[f"{conversion.column}: {conversion.rule}"] += pc.sum(converted.misfits).as_py()
            return batch._replace(records=records, emptied=emptied)
        good = pa.repeat(pa.scalar(value=True), records.num_rows)
        rejected = [batch.rejected]
        for conversion, converted in misfits:
            rows = pc.indices_nonzero(pc.and_(good, converted.misfits))
            rejected.append(_rejected(batch, rows, conversion, converted))
            good = pc.and_not(good, converted.misfits)
        if self._on_error == "fail":
            _fail([part for part in rejected[1:] if part is not None and part.num_rows])
        kept = pc.indices_nonzero(good)
        return batch._replace(
            records=records.filter(good), origin=batch.origin.take(kept), rejected=quarantine.concat(rejected)
        )


def _rejected(batch: Batch, rows: pa.Array, conversion: Conversion, converted: Converted) -> pa.RecordBatch:
    assert converted.text is not None  # noqa: S101 - there is text wherever there are misfits
    values = converted.text.take(rows)
    return quarantine.reject(
        batch.records,
        rows,
        batch.origin,
        stage="transform",
        rule=conversion.rule,
        reasons=conversion.reader.reasons(values),
        columns=conversion.column,
        values=values,
    )


def _fail(rejected: Sequence[pa.RecordBatch]) -> None:
    first = min(rejected, key=lambda part: part["position"][0].as_py())
    row = first.slice(0, 1).to_pylist()[0]
    raise DataError(
        f"{row['source']} line {row['position']}: {row['rule']}: {row['column']}: {row['reason']}; "
        "nothing was loaded. Mend the value, or set transformer.on_conversion_error: quarantine"
    )


def _require(column: str, option: str, names: Sequence[str]) -> None:
    if column in names:
        return
    near = get_close_matches(column, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(
        f"transformer.{option}: the source has no column {column!r}; {hint}it has: {', '.join(names)}{_doubt(names)}"
    )


def _doubt(names: Sequence[str]) -> str:
    """A question where a single name looks like a whole line of a file that was not cut into columns."""
    uncut = len(names) == 1 and any(character in names[0] for character in ";,\t|")
    return "; is source.delimiter right? auto finds it" if uncut else ""


def _schema(records: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.Schema:
    fields = [
        field.with_name(name).with_type(values.type)
        for field, (name, values) in zip(records.schema, columns.items(), strict=True)
    ]
    return pa.schema(fields, records.schema.metadata)
