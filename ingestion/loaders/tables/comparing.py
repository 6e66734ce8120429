"""How the columns of rows meet those of a table, tried on the loader's own rules without doing anything."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError, DataError
from ingestion.loaders.tables.fitting import fitted
from ingestion.loaders.tables.options import DELETED_AT, TableLoader
from ingestion.loaders.tables.usable import plain
from ingestion.plugins import INGESTED_AT, RUN_ID, Comparison, Difference

__all__ = ["Trial", "compared"]

_OURS = (RUN_ID, INGESTED_AT, DELETED_AT)


class Trial(ABC):
    """A table as a load would find it; what is tried leaves no trace."""

    known: pa.Schema | None = None
    """Its columns as `Loader.state` gives them, None where there is no table."""

    @abstractmethod
    def before(self, column: str) -> str | None:
        """The type of a column of the table, as the target calls it."""

    @abstractmethod
    def called(self, dtype: pa.DataType, column: str) -> str:
        """What the target calls a column for values of *dtype*; raises DataError where it has none."""

    @abstractmethod
    def after(self, column: str, batches: Sequence[pa.RecordBatch]) -> str | None:
        """The column's type once rows of it, the only one of *batches*, are there; None while none has a value.

        Raises DataError where they cannot be.
        """

    @abstractmethod
    def check(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Raise DataError or ConfigError for what a load of these batches would fail on."""


def compared(
    loader: TableLoader, trial: Trial, given: Sequence[pa.RecordBatch], admitted: Sequence[pa.RecordBatch]
) -> Comparison:
    """Each column of *given* beside the table's, and those that only the table has."""
    names = dict.fromkeys(name for batch in given for name in batch.schema.names if name not in _OURS)
    columns = [_difference(loader, trial, name, _only(given, name)) for name in names]
    for name in trial.known.names if trial.known is not None else ():
        if name not in names and name not in _OURS:
            before = trial.before(name)
            columns.append(Difference(name, "absent", None, before, before, "the data lacks it"))
    try:
        trial.check(admitted)
    except (ConfigError, DataError) as error:
        return Comparison(trial.known is not None, columns, str(error))
    return Comparison(trial.known is not None, columns)


def _only(batches: Sequence[pa.RecordBatch], name: str) -> list[pa.RecordBatch]:
    return [batch.select([name]) for batch in batches if name in batch.schema.names]


def _difference(loader: TableLoader, trial: Trial, name: str, batches: Sequence[pa.RecordBatch]) -> Difference:
    before, data = trial.before(name), _called(trial, name, batches)
    if name == loader.delete_column and loader.write_mode != "append":
        return Difference(name, "left out", data, before, before, "loader.delete_column is not stored")
    contract = loader.schema_contract
    if trial.known is not None and name.casefold() not in {known.casefold() for known in trial.known.names}:
        if contract.columns == "freeze":
            return Difference(name, "conflict", data, None, None, "loader.schema_contract.columns is freeze")
        if contract.columns != "evolve":
            reason = f"loader.schema_contract.columns is {contract.columns}"
            return Difference(name, "left out", data, None, None, reason)
    if before is not None and contract.data_type != "widen":
        return _held(loader, trial, name, batches)
    return _tried(trial, name, batches)


def _tried(trial: Trial, name: str, batches: Sequence[pa.RecordBatch]) -> Difference:
    before, data = trial.before(name), _called(trial, name, batches)
    try:
        after = trial.after(name, batches)
    except (ConfigError, DataError) as error:
        return Difference(name, "conflict", data, before, before, str(error))
    if after is None:
        return Difference(name, "left out", data, before, before, "no row has a value that says of which type it is")
    if before is None:
        return Difference(name, "new", data, None, after)
    return Difference(name, "same" if after == before else "widening", data, before, after)


def _held(loader: TableLoader, trial: Trial, name: str, batches: Sequence[pa.RecordBatch]) -> Difference:
    """A column whose type the contract lets nobody change: it is values that fit or do not."""
    assert trial.known is not None  # noqa: S101 - it has the column
    wanted, misfits, fitting = trial.known.field(name).type, 0, []
    for batch in batches:
        given = batch.schema.field(name).type
        if given != wanted and loader.stored_type(given, name) != wanted:
            found = fitted(plain(batch.column(0)), wanted)
            misfits += 0 if found.misfits is None else pc.sum(found.misfits).as_py()
            batch = pa.RecordBatch.from_arrays([found.values], names=[name])  # noqa: PLW2901 - as the table gets it
        fitting.append(batch)
    done = _tried(trial, name, fitting)._replace(data=_called(trial, name, batches))
    if not misfits or done.grade == "conflict":
        return done
    count = "1 value of the sample does not fit" if misfits == 1 else f"{misfits} values of the sample do not fit"
    reason = f"{count}, and loader.schema_contract.data_type is {loader.schema_contract.data_type}"
    frozen = loader.schema_contract.data_type == "freeze"
    return done._replace(grade="conflict" if frozen else "kept", reason=reason)


def _called(trial: Trial, name: str, batches: Sequence[pa.RecordBatch]) -> str:
    """The type, or types, of the column in the data."""
    found: dict[str, None] = {}
    for batch in batches:
        dtype = batch.schema.field(name).type
        try:
            found[trial.called(dtype, name)] = None
        except DataError:
            found[str(dtype)] = None
    told = [word for word in found if word != "null"]
    return " and ".join(told) or "null"
