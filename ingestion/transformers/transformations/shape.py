"""What every kind of transformation has."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

from ingestion.model import Model
from ingestion.transformers.steps import Step

__all__ = ["OnError", "Place", "Transformation"]

OnError = Literal["quarantine", "null", "fail"]


class Place(NamedTuple):
    """Where in the job file an option stands, and what holds for the rows there."""

    key: str  # as transformer.transformations[2]
    on_error: OnError = "quarantine"  # what becomes of a row for which there is no result
    hidden: frozenset[str] = frozenset()  # columns whose values no error and no reason may show
    zone: str | None = None  # of times that are written without an offset

    def __str__(self) -> str:
        return self.key

    @property
    def rule(self) -> str:
        """The key as rows are rejected under it."""
        return self.key.removeprefix("transformer.")

    def at(self, option: str) -> "Place":
        """The place of an *option* within this one."""
        return self._replace(key=f"{self.key}.{option}")


class Transformation(Model, ABC):
    """One change of the rows, named by its type."""

    main: ClassVar[str]
    """The option that a value alone stands for, as in ``- filter: quantity > 0``."""

    type: str

    @property
    def holds_rows(self) -> bool:
        """Whether rows wait on disk, as they are then."""
        return False

    @property
    def combines_rows(self) -> bool:
        """Whether it may make a row of several, so that what it makes of few tells nothing of what it makes of all."""
        return self.holds_rows

    @abstractmethod
    def steps(self, place: Place) -> Iterator[Step]:
        """What happens to the rows; made anew for each run."""

    @abstractmethod
    def written(self) -> frozenset[str] | None:
        """The columns that the steps create or change; None = any."""
