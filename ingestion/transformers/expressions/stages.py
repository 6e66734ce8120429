"""What is done to a frame, one column after the other; rows for which there is no result are told."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from ingestion.parsing import cast_text, expectation
from ingestion.transformers.expressions.nodes import Node

__all__ = ["Calculated", "Converted", "Fault", "Plain", "Read", "Stage"]


class Fault(NamedTuple):
    """Rows for which a part of the expression has no result, and why."""

    rows: pl.Series
    node: Node
    reason: str


@dataclass(frozen=True)
class Stage(ABC):
    """Adds the column *name* to a frame."""

    name: str

    @abstractmethod
    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column, null at the faults."""


@dataclass(frozen=True)
class Plain(Stage):
    """A column that has a value for every row."""

    result: pl.Expr

    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column."""
        return frame.with_columns(self.result.alias(self.name)), []


@dataclass(frozen=True)
class Guarded(Stage):
    """A column that may have no value where one is asked for: where *guard*, if there is one, is true."""

    node: Node
    guard: str | None

    def faults(self, frame: pl.DataFrame, rows: pl.Series, reason: str) -> list[Fault]:
        """The *rows* that count."""
        rows = rows.fill_null(value=False)
        if self.guard is not None:
            rows = rows & frame[self.guard].fill_null(value=False)
        return [Fault(rows, self.node, reason)] if rows.any() else []


@dataclass(frozen=True)
class Calculated(Guarded):
    """A function of doubles that has no finite result everywhere; infinities that came in may go out."""

    result: pl.Expr
    arguments: tuple[str, ...]

    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column."""
        frame = frame.with_columns(self.result.alias(self.name))
        values = frame[self.name]
        if not values.dtype.is_float() or values.is_finite().all():
            return frame, []
        rows = ~values.is_finite()
        for argument in self.arguments:
            if frame[argument].dtype.is_float():
                rows = rows & frame[argument].is_finite()
        faults = self.faults(frame, rows, "there is no finite result")
        return frame.with_columns(nulled(values, faults)), faults


@dataclass(frozen=True)
class Converted(Guarded):
    """A number in another type."""

    source: str
    result: pl.Expr
    expected: str
    strict: bool

    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column."""
        frame = frame.with_columns(self.result.alias(self.name))
        if not self.strict or frame[self.name].null_count() == frame[self.source].null_count():
            return frame, []
        rows = frame[self.name].is_null() & frame[self.source].is_not_null()
        return frame, self.faults(frame, rows, f"the value is not {self.expected}")


@dataclass(frozen=True)
class Read(Guarded):
    """A text read as `types` reads it."""

    source: str
    dtype: pa.DataType
    strict: bool

    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column."""
        typed, misfits = cast_text(frame[self.source].to_arrow().cast(pa.string()), self.dtype)
        values = pl.Series(self.name, pl.from_arrow(typed))
        frame = frame.with_columns(values)
        if not self.strict:
            return frame, []
        rows = pl.Series(pl.from_arrow(misfits), dtype=pl.Boolean)
        return frame, self.faults(frame, rows, f"the text is not {expectation(self.dtype)}")


def nulled(values: pl.Series, faults: list[Fault]) -> pl.Series:
    """The values, null in the rows of the faults."""
    for fault in faults:
        values = values.set(fault.rows, None)
    return values
