"""Conversion of one run's columns: values that do not fit leave their rows behind as rejected."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion import quarantine
from ingestion.errors import DataError
from ingestion.plugins import Batch
from ingestion.transformers.conversions import Conversion, Converted
from ingestion.transformers.steps import BatchStep, Seen, failure, spot

__all__ = ["Casting"]


class Casting(BatchStep):
    """Applies *conversions* to every batch of one run; untouched columns are not copied."""

    def __init__(self, conversions: Sequence[Conversion], on_error: Literal["quarantine", "null", "fail"]) -> None:
        self._conversions = conversions
        self._on_error = on_error
        self._seen = Seen()

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield each batch changed, and at the end one without rows that notes the values of doubtful meaning."""
        last: Batch | None = None
        for batch in super().apply(batches):
            last = batch
            yield batch
        noted = {f"{one.column}: {one.rule}": one.reader.doubtful for one in self._conversions if one.reader.doubtful}
        if noted and last is not None:
            nothing = pa.array([], pa.int64())
            yield Batch(last.records.take(nothing), last.origin.take(nothing), noted=noted)

    def change(self, batch: Batch) -> Batch:
        """The batch with new types; its schema does not depend on which values fit."""
        columns = dict(zip(batch.records.schema.names, batch.records.columns, strict=True))
        self._seen.note(columns)
        misfits: list[tuple[Conversion, Converted]] = []
        for conversion in self._conversions:
            if conversion.column not in columns:
                continue
            converted = conversion.apply(columns[conversion.column], batch.origin)
            columns[conversion.column] = converted.values
            if converted.misfits is not None:
                misfits.append((conversion, converted))
        records = pa.RecordBatch.from_arrays(list(columns.values()), schema=_schema(batch.records, columns))
        return self._settle(batch, records, misfits) if misfits else batch._replace(records=records)

    def finish(self) -> None:
        """Raise ConfigError for a column that an option names and no batch had; files may differ in their columns."""
        for conversion in self._conversions:
            self._seen.require([conversion.column], conversion.rule)

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
            raise _first([part for part in rejected[1:] if part is not None and part.num_rows])
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


def _first(rejected: Sequence[pa.RecordBatch]) -> DataError:
    """The error of the row that stands first, of those whose place is known."""
    rows = [part.slice(0, 1).to_pylist()[0] for part in rejected]
    row = min(rows, key=lambda row: (row["position"] is None, row["position"]))
    where = f"{spot(row['source'], row['position'])}: transformer.{row['rule']}: {row['column']}"
    return failure(where, row["reason"], "the value does not fit")


def _schema(records: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.Schema:
    fields = [
        field.with_name(name).with_type(values.type)
        for field, (name, values) in zip(records.schema, columns.items(), strict=True)
    ]
    return pa.schema(fields, records.schema.metadata)
