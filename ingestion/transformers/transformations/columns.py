"""Transformations that keep every value and change which columns there are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from ingestion.errors import ConfigError
from ingestion.names import repeated
from ingestion.plugins import Batch
from ingestion.transformers.steps import BatchStep, Seen, Step, require_column
from ingestion.transformers.transformations.shape import Place, Transformation

__all__ = ["DropColumns", "RenameColumns", "Select"]


class RenameColumns(Transformation):
    """Gives columns other names."""

    main: ClassVar[str] = "columns"

    type: Literal["rename_columns"] = "rename_columns"
    """Give columns other names."""
    columns: dict[str, str] = Field(min_length=1)
    """New names of columns, as {old: new}."""

    @field_validator("columns")
    @classmethod
    def _one_each(cls, columns: dict[str, str]) -> dict[str, str]:
        for name, count in repeated(columns.values()).items():
            raise ValueError(f"{count} columns would become {name!r}; keep one of them")
        return columns

    def steps(self, place: Place) -> Iterator[Step]:
        """The renaming."""
        yield _Renamed(self.columns, place.at("columns"))

    def written(self) -> frozenset[str]:
        """Both names: neither is what the source calls the column."""
        return frozenset([*self.columns, *self.columns.values()])


class DropColumns(Transformation):
    """Leaves columns out."""

    main: ClassVar[str] = "columns"

    type: Literal["drop_columns"] = "drop_columns"
    """Leave columns out."""
    columns: list[str] = Field(min_length=1)
    """The columns to leave out."""

    def steps(self, place: Place) -> Iterator[Step]:
        """The step that leaves them out."""
        yield _Dropped(self.columns, place.at("columns"))

    def written(self) -> frozenset[str]:
        """None: what stays is as it was."""
        return frozenset()


class Select(Transformation):
    """Keeps columns, in this order."""

    main: ClassVar[str] = "columns"

    type: Literal["select"] = "select"
    """Keep these columns, in this order."""
    columns: list[str] = Field(min_length=1)
    """The columns to keep."""

    @field_validator("columns")
    @classmethod
    def _once(cls, columns: list[str]) -> list[str]:
        for name, count in repeated(columns).items():
            raise ValueError(f"column {name!r} is named {count} times; name it once")
        return columns

    def steps(self, place: Place) -> Iterator[Step]:
        """The selection."""
        yield _Selected(self.columns, place.at("columns"))

    def written(self) -> frozenset[str]:
        """None: what stays is as it was."""
        return frozenset()


class _Changed(BatchStep):
    """Knows which columns there were; files may differ in what they have."""

    def __init__(self, columns: Iterable[str], place: Place) -> None:
        self._columns = columns
        self._place = place
        self._seen = Seen()

    def _names(self, batch: Batch) -> list[str]:
        names: list[str] = batch.records.schema.names
        self._seen.note(names)
        return names

    def finish(self) -> None:
        """Raise ConfigError for a column that no batch had."""
        self._seen.require(self._columns, self._place.rule)


class _Renamed(_Changed):
    def __init__(self, columns: Mapping[str, str], place: Place) -> None:
        super().__init__(columns, place)
        self._new = columns

    def change(self, batch: Batch) -> Batch:
        renamed = [self._new.get(name, name) for name in self._names(batch)]
        for name in repeated(renamed):
            raise ConfigError(f"{self._place}: there is a column {name!r} already; choose another new name")
        return batch._replace(records=batch.records.rename_columns(renamed))


class _Dropped(_Changed):
    def change(self, batch: Batch) -> Batch:
        left = [name for name in self._names(batch) if name not in self._columns]
        if not left:
            raise ConfigError(f"{self._place}: no column would be left; keep one")
        return batch._replace(records=batch.records.select(left))


class _Selected(BatchStep):
    def __init__(self, columns: Sequence[str], place: Place) -> None:
        self._columns = columns
        self._place = place

    def change(self, batch: Batch) -> Batch:
        for column in self._columns:
            require_column(column, self._place.rule, batch.records.schema.names)
        return batch._replace(records=batch.records.select(self._columns))
