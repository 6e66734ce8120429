"""The options that give columns other names."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from pydantic import AliasChoices, Field

from ingestion.errors import ConfigError
from ingestion.names import cleaned_all, repeated
from ingestion.plugins import Batch, Model
from ingestion.transformers.steps import BatchStep, Seen, Step

__all__ = ["Naming"]


class Naming(Model):
    """Gives columns other names."""

    column_mapping: dict[str, str] = Field(
        default={}, validation_alias=AliasChoices("column_mapping", "rename_columns")
    )
    """New names of columns, as {old: new}; the other options use the new names."""
    clean_column_names: bool = False
    """Give columns names of ASCII letters, digits and _, such as order_date for "Order Date" and OrderDate; those that
    column_mapping names stay as they are there, and the other options use the clean names."""

    def naming_steps(self) -> Iterator[Step]:
        """The renaming, where there is any."""
        if self.column_mapping:
            yield _Renaming(self.column_mapping)
        if self.clean_column_names:
            yield _Cleaning(self.column_mapping.values())

    def renamed(self, names: list[str]) -> list[str]:
        """What the columns that a source calls so are called by the steps after these."""
        mapped = [self.column_mapping.get(name, name) for name in names]
        return _clean(mapped, set(self.column_mapping.values())) if self.clean_column_names else mapped

    def naming_contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        for name, count in repeated(self.column_mapping.values()).items():
            yield f"column_mapping: {count} columns would become {name!r}; keep one of them"


class _Renaming(BatchStep):
    """Renames the columns that are there; files may differ in what they have."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapping = mapping
        self._names: Sequence[str] = ()  # of the batch before
        self._seen = Seen()

    def change(self, batch: Batch) -> Batch:
        """The batch with new names; raises ConfigError where a new name is taken."""
        names = batch.records.schema.names
        renamed = [self._mapping.get(name, name) for name in names]
        if names != self._names:
            self._names = names
            self._seen.note(names)
            for name in repeated(renamed):
                raise ConfigError(
                    f"transformer.column_mapping: the source has a column {name!r} already; choose another new name"
                )
        return batch._replace(records=batch.records.rename_columns(renamed))

    def finish(self) -> None:
        """Raise ConfigError for a column that no batch had."""
        self._seen.require(self._mapping, "column_mapping")


class _Cleaning(BatchStep):
    """Cleans the names of all columns but those with these names."""

    def __init__(self, given: Iterable[str]) -> None:
        self._given = set(given)
        self._names: Sequence[str] = ()  # of the batch before
        self._clean: Sequence[str] = ()

    def change(self, batch: Batch) -> Batch:
        """The batch with clean names; raises ConfigError where two columns would have the same."""
        names = batch.records.schema.names
        if names != self._names:
            self._names, self._clean = names, _clean(names, self._given)
            _check_distinct(names, self._clean)
        return batch._replace(records=batch.records.rename_columns(self._clean))


def _check_distinct(names: Sequence[str], clean: Sequence[str]) -> None:
    taken: dict[str, str] = {}
    for old, new in zip(names, clean, strict=True):
        if taken.setdefault(new, old) != old:
            raise ConfigError(
                f"clean_column_names: {taken[new]!r} and {old!r} would both become {new!r}; "
                "give one of them another name in column_mapping"
            )


def _clean(names: list[str], given: Container[str]) -> list[str]:
    """The names cleaned, those *given* as they are."""
    return [name if name in given else clean for name, clean in zip(names, cleaned_all(names), strict=True)]
