"""The options of loaders whose target is a table: how rows meet those that are there, and what may change."""

from abc import ABC
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import pyarrow as pa
from pydantic import AliasChoices, BeforeValidator, Field, model_validator
from typing_extensions import Self

from ingestion.errors import ConfigError
from ingestion.loaders.tables.elsewhere import about_option
from ingestion.loaders.tables.types import Storage
from ingestion.plugins import Batch, Comparison, Load, Loader, Model, Part, State

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import polars as pl

    from ingestion.loaders.tables.comparing import Trial

__all__ = ["DELETED_AT", "TRIED_BEFORE", "Columns", "SchemaContract", "TableLoader", "WriteMode"]

DELETED_AT = "_deleted_at"
"""When a row was found missing in a full load (delete_missing: soft); null while it is there. UTC, microseconds."""

TRIED_BEFORE = "an earlier try of this load had landed, so that nothing was loaded again"
"""What a load says of itself where `Load.once` kept it from landing."""

_ALIASES = {"replace": "overwrite", "upsert": "merge"}
_FOR_KEYS = ("merge_keys", "order_by", "delete_column", "delete_missing", "merge_strategy", "on_conflict")


def _canonical(value: Any) -> Any:
    return _ALIASES.get(value, value) if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


WriteMode: TypeAlias = Annotated[
    Literal["append", "overwrite", "merge"],
    BeforeValidator(_canonical, json_schema_input_type=Literal["append", "overwrite", "merge", "replace", "upsert"]),
]
Columns: TypeAlias = Annotated[list[str], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
"""Column names; one alone needs no list."""


class SchemaContract(Model):
    """What the data may change in the table's columns."""

    columns: Literal["evolve", "freeze", "discard_value", "quarantine"] = "evolve"
    """A column that the table lacks: evolve adds it, freeze fails the run, discard_value leaves the column out,
    quarantine rejects the rows that have a value in it. A column that the table requires, and that the data lacks or
    has nulls in, becomes optional, with a note; freeze fails the run there, too. On Delta it always fails."""
    data_type: Literal["widen", "freeze", "quarantine"] = "widen"
    """A value that does not fit its column's type: widen makes the column wider where the target can and otherwise
    fails the run, freeze fails the run, quarantine rejects the row. Text is never a widening."""


class TableLoader(Loader, ABC):
    """Loads rows into a table by appending, overwriting or merging."""

    write_mode: WriteMode = "append"
    """append adds the rows, overwrite (replace) puts them in place of what is there, merge (upsert) puts each in
    place of the row with the same merge_keys."""
    merge_keys: Columns = Field([], validation_alias=AliasChoices("merge_keys", "primary_key"))
    """The column or columns that say which row is which; write_mode merge needs them, and an overwrite with them
    loads one row of each. A row without one of them is rejected."""
    order_by: Columns = []
    """Of two rows with the same merge_keys, one of them in the table or both in the data, the one with the greatest
    value here stays, null being the least; the later of equal ones. Without it the row from the later file, page or
    query stays, and the same key twice in one of them fails the run unless the rows are equal."""
    delete_column: str | None = None
    """Rows with true here, with a whole number other than 0, or with any date or time delete the table's row; the
    column is not stored. One of another type with values in it fails the run: convert it in the transformer, by
    boolean_columns or date_columns."""
    delete_missing: Literal["none", "soft", "hard"] = "none"
    """What becomes of the table's rows that a full load no longer brings: nothing, a time in _deleted_at, or hard
    deletion. A load of which rows were rejected leaves them as they are."""
    allow_empty: bool = False
    """Let a source that gives no rows empty the table (write_mode overwrite, or delete_missing)."""
    schema_contract: SchemaContract = SchemaContract()
    """What becomes of columns that the table lacks, and of values that do not fit its columns."""
    rename_from: dict[str, str] = {}
    """{new: old}: the table's column old is called new from now on and keeps its values."""

    @model_validator(mode="after")
    def _modes_and_options_agree(self) -> Self:
        if self.write_mode == "merge" and not self.merge_keys:
            raise ValueError("write_mode merge needs merge_keys, the columns that say which row is which")
        if self.write_mode == "append":
            for name in _FOR_KEYS:
                if name in self.model_fields_set and getattr(self, name) not in ([], None, "none"):
                    raise ValueError(
                        f"{name} has no meaning when rows are appended; set write_mode: merge, or leave it out"
                    )
        if self.write_mode == "overwrite" and not self.merge_keys and (self.order_by or self.delete_column):
            raise ValueError("order_by and delete_column need merge_keys, the columns that say which row is which")
        for name, columns in (("merge_keys", self.merge_keys), ("order_by", self.order_by)):
            if self.delete_column in columns:
                raise ValueError(
                    f"delete_column and {name} both name {self.delete_column!r}, and the delete_column is not stored; "
                    f"name another column in one of them"
                )
        return self

    @classmethod
    def _about_unknown(cls, key: str) -> str:
        kind = cls.model_fields["type"].default
        return about_option(key, str(kind)) or super()._about_unknown(key)

    @property
    def merges(self) -> bool:
        """Where write_mode says so."""
        return self.write_mode == "merge"

    @property
    def replaces_all(self) -> bool:
        """Where the whole table is overwritten, or missing rows are deleted."""
        return self.write_mode == "overwrite" or self.delete_missing != "none"

    @property
    def deletes_missing(self) -> bool:
        """Where delete_missing says so."""
        return self.delete_missing != "none"

    def adding(self) -> Self:
        """The same table for rows that come late: merged where it merges or replaces rows by key, else appended."""
        mode = "merge" if self.merge_keys and self.write_mode != "append" else "append"
        unfit = {"delete_missing", "overwrite_scope", *(() if mode == "merge" else _FOR_KEYS)}
        fields = {name: item for name, item in type(self).model_fields.items() if name in unfit}
        defaults = {name: item.get_default(call_default_factory=True) for name, item in fields.items()}
        copy = self.model_copy(update={**defaults, "write_mode": mode})
        copy.model_fields_set.difference_update(defaults)
        return copy

    def admit(self, batches: Iterator[Batch], known: pa.Schema | None) -> Iterator[Batch]:
        """The stream without rows that lack a key or break the schema contract, which are rejected.

        Raises DataError where an option names a column that the data lacks, where the data has a column of a name
        that the table keeps for the service, and where the contract is to freeze what the data would change.
        """
        from ingestion.loaders.tables.admission import Admission

        return Admission(self, known).apply(batches)

    def compare(self, job: str, given: Sequence[pa.RecordBatch], admitted: Sequence[pa.RecordBatch]) -> Comparison:
        """What a load would do to the table's columns, and what it would fail on, as the rows given show it."""
        from ingestion.loaders.tables.comparing import compared

        with self.trial(job) as trial:
            return compared(self, trial, given, admitted)

    def refuse_to_empty(self, job: str, batches: Sequence[Batch], since: State) -> None:
        """Raise DataError where a load of *job*, of all these batches, would be refused as it empties the table."""
        from ingestion.loaders.tables.intake import Intake

        intake = Intake(self, Load(job, "", "", since, ""), self.table or job)
        for batch in batches:
            intake.note(batch)
        intake.refuse_to_empty(intake.rows)

    def trial(self, job: str) -> "AbstractContextManager[Trial]":
        """The table of *job*, to try on it what a load would do."""
        raise ConfigError(f"{job}: loader type {self.type!r} cannot tell what a load would do to the table's columns")

    def scan(self, parts: Sequence[Part] = ()) -> "pl.LazyFrame":
        """The table, or the rows in all of *parts*, as a lazy polars frame."""
        del parts
        raise ConfigError(f"loader type {self.type!r} cannot be read by a downstream asset; open its table there")

    def stored_type(self, dtype: pa.DataType, column: str) -> pa.DataType:
        """The type in which the target holds values of *dtype*; raises DataError for one that it cannot hold."""
        return Storage(f"table {self.table}").plain(dtype, column)
