"""What every kind of rule has."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from typing_extensions import Self

from ingestion.errors import ConfigError
from ingestion.model import Model, Names
from ingestion.parsing import type_name
from ingestion.plugins import Origin
from ingestion.secrets import placeholders

__all__ = ["ColumnJudge", "ColumnRule", "Judge", "OnFail", "Rule", "Site", "shown"]

OnFail: TypeAlias = Literal["quarantine", "drop", "warn", "fail"]

_SHOWN = 200  # characters of a value that people are shown


class Site(NamedTuple):
    """Where in the job file a rule stands, and what holds there."""

    key: str  # as transformer.validation[2]
    zone: str = "UTC"  # of times that are written without an offset


class Judge(ABC):
    """Holds the rows of one run to one rule."""

    @abstractmethod
    def broken(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        """Which of these *rows* break the rule, without nulls; asked once for each row, in their order.

        The rows have the columns that the rule is about, those that a file lacks with the type null; or all that the
        file has, where it looks at whole rows.
        """

    @abstractmethod
    def reasons(self, rows: pa.RecordBatch) -> pa.Array | str:
        """A sentence without its subject for each of these *rows*, all of which break the rule."""

    def stand(self, origin: Origin) -> None:  # noqa: B027 - most errors are about a column, whatever its rows
        """Know where the rows stand that are judged next, for an error to name."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what the judge holds, however the run ends."""


class Rule(Model, ABC):
    """What every row is held to."""

    among_rows: ClassVar[bool] = False  # a row breaks it for another row of its load
    many: ClassVar[bool] = True
    """Whether each of several columns is held to the rule by itself."""
    whole: ClassVar[bool] = False
    """Whether it looks at all columns of a row, whichever it is about."""

    rule: str
    column: str | None = None
    """The column that it is about."""
    columns: Names = []
    """In place of column: several, each held to the rule."""
    on_fail: OnFail = "quarantine"
    """What becomes of a row that breaks it: quarantine rejects it, drop leaves it out, warn keeps it and counts it,
    fail ends the run before anything is committed. Rows that are rejected or left out spend the error budget."""
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """What people are told instead of the kind of rule."""

    @property
    @abstractmethod
    def demand(self) -> str:
        """What is asked of a row, to follow the name of the column in a sentence."""

    @abstractmethod
    def judge(self, columns: tuple[str, ...], site: Site) -> Judge:
        """What holds the rows of one run to the rule; raises ConfigError for what does not fit their columns."""

    def subjects(self) -> Iterator[tuple[str, ...]]:
        """The columns of each thing that is checked on its own."""
        named = (self.column,) if self.column else tuple(self.columns)
        yield from ((column,) for column in named) if self.many else (named,)

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        for problem in () if placeholders(self.as_written()) else self.contradictions():
            raise ValueError(problem)
        return self

    def contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        if bool(self.column) == bool(self.columns):
            yield "name the column, or several in columns" + (", not both" if self.column else "")
        if len(set(self.columns)) < len(self.columns):
            yield "columns: a column is named twice; name it once"


class ColumnRule(Rule):
    """A rule on the values of one column; nulls keep it."""

    def judge(self, columns: tuple[str, ...], site: Site) -> Judge:
        """What holds the column's values to the rule."""
        (column,) = columns
        return self.column_judge(column, site)

    @abstractmethod
    def column_judge(self, column: str, site: Site) -> "ColumnJudge":
        """What holds the values of *column* to the rule."""


class ColumnJudge(Judge):
    """Holds the values of one column to a rule that nulls keep."""

    def __init__(self, column: str, site: Site) -> None:
        self.column = column
        self.site = site
        self._dtype: pa.DataType | None = None

    def broken(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        """Which rows have a value that breaks the rule."""
        values = self._values(rows)
        if pa.types.is_null(values.type):
            return pa.repeat(pa.scalar(value=False), len(values))
        kept = self.kept(values)
        return pc.invert(kept if kept.null_count == 0 else pc.fill_null(kept, fill_value=True))

    def reasons(self, rows: pa.RecordBatch) -> pa.Array | str:
        """What is wrong with each value."""
        return self.complaints(self._values(rows))

    def _values(self, rows: pa.RecordBatch) -> pa.Array:
        """The column's values; the judge knows their type."""
        values = rows.column(self.column)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_decimal32(values.type) or pa.types.is_decimal64(values.type):  # which few functions take
            values = pc.cast(values, pa.decimal128(values.type.precision, values.type.scale))
        if values.type != self._dtype and not pa.types.is_null(values.type):
            self._dtype = values.type
            self.meet(values.type)
        return values

    @abstractmethod
    def meet(self, dtype: pa.DataType) -> None:
        """Called with the column's type before its values; raises ConfigError where the rule cannot hold for it."""

    @abstractmethod
    def kept(self, values: pa.Array) -> pa.BooleanArray:
        """Which values keep the rule; null for null."""

    @abstractmethod
    def complaints(self, values: pa.Array) -> pa.Array | str:
        """A sentence without its subject for each of these values, all of which break the rule."""

    def unfit(self, dtype: pa.DataType, needed: str, remedy: str) -> ConfigError:
        """The error of a column whose type the rule cannot judge."""
        return ConfigError(f"{self.site.key}: {needed}, and column {self.column!r} is {type_name(dtype)}; {remedy}")


def _is_bytes(dtype: pa.DataType) -> bool:
    """Whether Arrow would take the values for text, as far as they are some."""
    types = pa.types
    return bool(types.is_binary(dtype) or types.is_large_binary(dtype) or types.is_fixed_size_binary(dtype))


def shown(values: pa.Array) -> pa.Array:
    """The *values* as texts for people: cut, and null where there is none."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        texts = pc.cast(values, pa.string()) if not _is_bytes(values.type) else None
    except pa.ArrowNotImplementedError:  # lists and the like
        texts = None
    if texts is None:
        texts = pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    if pc.max(pc.utf8_length(texts)).as_py() in {None, *range(_SHOWN + 1)}:
        return texts
    long = pc.greater(pc.utf8_length(texts), _SHOWN)
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, _SHOWN - 1), "…", "")
    return pc.if_else(long, cut, texts)
