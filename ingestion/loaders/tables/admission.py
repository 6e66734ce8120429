"""Which rows a table takes: those with a key, in columns and types that its contract allows."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion import quarantine
from ingestion.errors import DataError
from ingestion.loaders.tables.fitting import fitted
from ingestion.loaders.tables.options import DELETED_AT, TableLoader
from ingestion.loaders.tables.usable import check_usable, deletes, plain
from ingestion.parsing import type_name
from ingestion.plugins import INGESTED_AT, RUN_ID, Batch

__all__ = ["Admission", "deletes"]

_OURS = (RUN_ID, INGESTED_AT)
_CONTRACT = "schema_contract"
_SHOWN = 80  # characters of a value in a message


class _Cause(NamedTuple):
    """Why rows are refused."""

    column: str
    rule: str
    reason: str


class Admission:
    """Takes the batches of one load as a table with the columns *known* does; None = there is no table yet."""

    def __init__(self, loader: TableLoader, known: pa.Schema | None) -> None:
        self._loader = loader
        self._known = {field.name: field.type for field in known or ()}
        self._folded = {name.casefold() for name in self._known}
        contract = loader.schema_contract
        self._steps: list[Callable[[Batch], Batch]] = [self._keyed]
        if known is not None and contract.columns != "evolve":
            self._steps.append(self._in_known_columns)
        if known is not None and contract.data_type != "widen":
            self._steps.append(self._in_known_types)
        self._table = f"table {loader.database}.{loader.table}" if loader.table else "the table"

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches without the rows that the table refuses; raises DataError where no row can mend it."""
        for batch in batches:
            if batch.records.num_columns:
                self._check_names(batch)
                for step in self._steps:
                    batch = step(batch)  # noqa: PLW2901 - each step takes what the one before it left
            yield batch

    def _check_names(self, batch: Batch) -> None:
        loader, names = self._loader, batch.records.schema.names
        reserved = [*_OURS] if loader.add_ingestion_metadata else []
        reserved += [DELETED_AT] if loader.delete_missing == "soft" else []
        for name in reserved:
            if name in names:
                raise DataError(
                    f"{batch.origin.source}: the data has a column {name} of its own, which {self._table} keeps for "
                    f"what the service adds; rename it with transformer.column_mapping"
                )
        deleting = [] if loader.delete_column is None else [loader.delete_column]
        for option, columns in (
            ("merge_keys", loader.merge_keys),
            ("order_by", loader.order_by),
            ("delete_column", deleting),
        ):
            for column in columns:
                if column in names or batch.records.num_rows:
                    check_usable(batch, column, option)

    def _keyed(self, batch: Batch) -> Batch:
        for key in self._loader.merge_keys:
            if key in batch.records.schema.names and batch.records[key].null_count:
                reason = "the value is empty, and without it nobody can tell which row of the table this is"
                batch = _without(batch, pc.is_null(batch.records[key]), _Cause(key, "merge_keys", reason))
        return batch

    def _in_known_columns(self, batch: Batch) -> Batch:
        contract = self._loader.schema_contract.columns
        unknown = [name for name in batch.records.schema.names if self._is_new(name)]
        if not unknown:
            return batch
        if contract == "freeze":
            raise DataError(
                f"{batch.origin.source}: {self._table} lacks the columns {', '.join(unknown)} and "
                f"loader.schema_contract.columns is freeze; add them to the table, or set it to evolve, discard_value "
                f"or quarantine"
            )
        self._refuse_to_leave_out(batch, unknown)
        emptied = Counter(batch.emptied)
        for name in unknown:
            values = batch.records[name]
            if contract == "discard_value":
                emptied += Counter({f"{name}: {_CONTRACT}": len(values) - values.null_count})
            else:
                misfits = self._but_deletes(batch, pc.is_valid(values))
                reason = f"{self._table} has no column {name}, and schema_contract.columns is quarantine"
                batch = _without(batch, misfits, _Cause(name, _CONTRACT, reason))
        return batch._replace(records=batch.records.drop_columns(unknown), emptied=emptied)

    def _refuse_to_leave_out(self, batch: Batch, unknown: Sequence[str]) -> None:
        loader = self._loader
        for option, columns in (("merge_keys", loader.merge_keys), ("order_by", loader.order_by)):
            for name in columns:
                if name in unknown:
                    raise DataError(
                        f"{batch.origin.source}: loader.{option} names the column {name!r}, which {self._table} lacks, "
                        f"and loader.schema_contract.columns ({loader.schema_contract.columns}) leaves such columns "
                        f"out; add it to the table, or set schema_contract.columns: evolve"
                    )

    def _is_new(self, name: str) -> bool:
        """Not known; a name that differs from a known one only in case is for the target to judge."""
        return name.casefold() not in self._folded and name not in {*_OURS, self._loader.delete_column}

    def _in_known_types(self, batch: Batch) -> Batch:
        for name in batch.records.schema.names:
            wanted = self._known.get(name)
            if wanted is not None and name != self._loader.delete_column:
                given = batch.records.schema.field(name).type
                if given != wanted and self._loader.stored_type(given, name) != wanted:
                    batch = self._in_type(batch, name, wanted)
        return batch

    def _in_type(self, batch: Batch, name: str, wanted: pa.DataType) -> Batch:
        values = plain(batch.records[name])
        found = fitted(values, wanted)
        records = batch.records.set_column(
            batch.records.schema.get_field_index(name), pa.field(name, wanted), found.values
        )
        misfits = None if found.misfits is None else self._but_deletes(batch, found.misfits)
        if misfits is None or not pc.any(misfits).as_py():
            return batch._replace(records=records)
        reason = f"the value is {type_name(values.type)} and does not fit the column's type, {type_name(wanted)}"
        if self._loader.schema_contract.data_type == "freeze":
            raise self._frozen(batch, name, misfits, reason)
        return _without(batch, misfits, _Cause(name, _CONTRACT, reason), records)

    def _frozen(self, batch: Batch, name: str, misfits: pa.BooleanArray, reason: str) -> DataError:
        row = pc.indices_nonzero(misfits).slice(0, 1)
        value = str(batch.records[name].take(row)[0].as_py())[:_SHOWN]
        place = f"{batch.origin.source}:{batch.origin.at(row)[0]}"
        return DataError(
            f"{place}: column {name!r} of {self._table}: {value}: {reason}, and loader.schema_contract.data_type is "
            f"freeze; convert it in the transformer, or set it to widen or quarantine"
        )

    def _but_deletes(self, batch: Batch, misfits: pa.BooleanArray) -> pa.BooleanArray:
        """A row that deletes is judged by its key alone: nothing else of it is stored."""
        column = self._loader.delete_column
        return misfits if column is None else pc.and_not(misfits, deletes(batch.records[column]))


def _without(batch: Batch, refused: pa.BooleanArray, cause: _Cause, records: pa.RecordBatch | None = None) -> Batch:
    """The batch with the *refused* rows among the rejected; the others are those of *records* where it is given."""
    rows = pc.indices_nonzero(refused)
    if not len(rows):
        return batch
    rejected = quarantine.reject(
        batch.records,
        rows,
        batch.origin,
        stage="load",
        rule=cause.rule,
        reasons=cause.reason,
        columns=cause.column,
        values=_texts(batch.records[cause.column].take(rows)),
    )
    kept = pc.invert(refused)
    return batch._replace(
        records=(batch.records if records is None else records).filter(kept),
        origin=batch.origin.take(pc.indices_nonzero(kept)),
        rejected=quarantine.concat([batch.rejected, rejected]),
    )


def _texts(values: pa.Array) -> pa.Array | None:
    """The values as people read them; None for those that have no short form, the payload shows them."""
    try:
        return pc.cast(plain(values), pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # nested, or bytes that are no text
        return None
