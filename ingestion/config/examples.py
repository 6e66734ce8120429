"""Examples in a job file: rows as the source gives them, and what is to become of them."""

from typing import Any

from pydantic import Field, model_validator
from typing_extensions import Self

from ingestion.model import Model

__all__ = ["InlineTest"]

Row = dict[str, Any]


class InlineTest(Model):
    """Rows that go through the job's transformer, and past the rules of its loader, and what is to become of them."""

    name: str | None = None
    """What the test is about, as a failure tells it."""
    given: list[Row] = Field(min_length=1)
    """Rows as the source gives them, each a mapping of columns. Values have the type that YAML gives them, and a
    column's type follows from all rows; what the transformer reads as text is given as text. Dates are text."""
    expect: list[Row] | None = None
    """The rows that come out, in order; only the columns that are named here are compared. Numbers are equal by value
    (doubles to 9 digits), dates and times are ISO 8601, and [] expects no row."""
    rejected: str | None = Field(None, min_length=1)
    """A text in the reason, the rule or the column of a row that is rejected, or in the error that fails the run."""
    filtered: int | None = Field(None, ge=0)
    """How many rows are left out on purpose; rows that were added count against them."""

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if self.expect is None and self.rejected is None and self.filtered is None:
            raise ValueError("says nothing of what is to become of its rows; add expect, rejected or filtered")
        return self
