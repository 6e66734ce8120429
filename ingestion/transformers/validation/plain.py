"""Rules on single values: that there is one, that it is among some, how it is written, how long it is."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from ingestion.secrets import redact
from ingestion.transformers.validation.limits import Given, fits, typed
from ingestion.transformers.validation.lookup import Lookup
from ingestion.transformers.validation.shape import ColumnJudge, ColumnRule, Judge, Rule, Site, shown

__all__ = ["In", "Length", "NotNull", "Regex"]

_NAMED = 5  # values of a list that a sentence names


class NotNull(Rule):
    """Asks for a value."""

    rule: Literal["not_null"] = "not_null"
    """There is a value; an empty text is one."""
    demand: ClassVar[str] = "has a value"

    def judge(self, columns: tuple[str, ...], site: Site) -> Judge:
        """What finds the nulls, and the rows of files that lack the column."""
        del site
        return _Presence(columns[0])


class _Presence(Judge):
    def __init__(self, column: str) -> None:
        self._column = column

    def broken(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_null(rows.column(self._column))

    def reasons(self, rows: pa.RecordBatch) -> str:
        del rows
        return "has no value"


class In(ColumnRule):
    """Asks for one of some values."""

    rule: Literal["in"] = "in"
    """The value is one of those in values."""
    values: list[Given] = Field(min_length=1)
    """The values that are fine; they are compared in the column's type."""

    @property
    def demand(self) -> str:
        """The first of the values."""
        more = ", ..." if len(self.values) > _NAMED else ""
        return f"is one of {redact(', '.join(map(str, self.values[:_NAMED])))}{more}"

    def column_judge(self, column: str, site: Site) -> ColumnJudge:
        """What looks the values up."""
        return _Membership(column, site, self)


class _Membership(ColumnJudge):
    def __init__(self, column: str, site: Site, rule: In) -> None:
        super().__init__(column, site)
        self._rule = rule
        self._fine = Lookup(pa.array([]))

    def meet(self, dtype: pa.DataType) -> None:
        if not (fits(dtype) or pa.types.is_boolean(dtype)):
            raise self.unfit(dtype, "in compares plain values", "take it out")
        options = ((value, f"values[{index}]") for index, value in enumerate(self._rule.values))
        fine = [typed(value, dtype, self.site, option).as_py() for value, option in options]
        self._fine = Lookup(pa.array(fine, dtype))

    def kept(self, values: pa.Array) -> pa.BooleanArray:
        return self._fine.has(values)

    def complaints(self, values: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise("is ", shown(values), f", not {self._rule.demand.removeprefix('is ')}", "")


def _compiled(pattern: str) -> str:
    """A pattern that RE2 takes, whose time grows with the length of a text and no faster."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern)  # by itself: "a)|(b" is none, whatever is put around it
    except pa.ArrowInvalid as error:
        told = str(error).removeprefix("Invalid regular expression: ")
        raise ValueError(
            f"{pattern!r} is no pattern of RE2 ({told}); it has no look-around and no references"
        ) from None
    return pattern


class Regex(ColumnRule):
    """Asks for texts of some form."""

    rule: Literal["regex"] = "regex"
    """The whole text matches pattern."""
    pattern: Annotated[str, AfterValidator(_compiled)]
    """A regular expression of RE2 (no look-around, no references back) that the whole text matches; write .* around
    it to find it anywhere, and (?s) before it where texts have several lines."""

    @property
    def demand(self) -> str:
        """The pattern."""
        return f"matches {self.pattern}"

    def column_judge(self, column: str, site: Site) -> ColumnJudge:
        """What matches the texts."""
        return _Matching(column, site, self)


class _Matching(ColumnJudge):
    def __init__(self, column: str, site: Site, rule: Regex) -> None:
        super().__init__(column, site)
        self._rule = rule

    def meet(self, dtype: pa.DataType) -> None:
        if not (pa.types.is_string(dtype) or pa.types.is_large_string(dtype)):
            remedy = f"set transformer.types: {{{self.column}: string}}, or use another rule"
            raise self.unfit(dtype, "regex looks at texts", remedy)

    def kept(self, values: pa.Array) -> pa.BooleanArray:
        return pc.match_substring_regex(values, rf"\A(?:{self._rule.pattern})\z")

    def complaints(self, values: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise("'", shown(values), f"' does not match {self._rule.pattern}", "")


class Length(ColumnRule):
    """Asks for a length."""

    rule: Literal["length"] = "length"
    """The text has so many characters, the list so many items, the binary value so many bytes."""
    min: int | None = Field(None, ge=0)
    """The shortest length that is fine."""
    max: int | None = Field(None, ge=0)
    """The greatest length that is fine."""

    @property
    def demand(self) -> str:
        """The limits."""
        limits = (("at least", self.min), ("at most", self.max))
        return "has a length of " + " and ".join(f"{word} {limit}" for word, limit in limits if limit is not None)

    def column_judge(self, column: str, site: Site) -> ColumnJudge:
        """What measures the values."""
        return _Measuring(column, site, self)

    def contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        yield from super().contradictions()
        if self.min is None and self.max is None:
            yield "give min, max or both"
        if self.min is not None and self.max is not None and self.min > self.max:
            yield f"min ({self.min}) is more than max ({self.max})"


class _Measuring(ColumnJudge):
    def __init__(self, column: str, site: Site, rule: Length) -> None:
        super().__init__(column, site)
        self._rule = rule
        self._unit = "characters"

    def meet(self, dtype: pa.DataType) -> None:
        types = pa.types
        kinds = {
            "characters": (types.is_string, types.is_large_string),
            "items": (types.is_list, types.is_large_list, types.is_fixed_size_list),
            "bytes": (types.is_binary, types.is_large_binary, types.is_fixed_size_binary),
        }
        units = [unit for unit, checks in kinds.items() if any(check(dtype) for check in checks)]
        if not units:
            remedy = f"set transformer.types: {{{self.column}: string}}, or use another rule"
            raise self.unfit(dtype, "length measures texts, lists and binary values", remedy)
        self._unit = units[0]

    def kept(self, values: pa.Array) -> pa.BooleanArray:
        lengths = self._lengths(values)
        fine = pc.greater_equal(lengths, 0 if self._rule.min is None else self._rule.min)
        return fine if self._rule.max is None else pc.and_(fine, pc.less_equal(lengths, self._rule.max))

    def complaints(self, values: pa.Array) -> pa.Array:
        lengths, longest = self._lengths(values), self._rule.max
        too_long = pa.scalar(value=False) if longest is None else pc.greater(lengths, longest)
        limit = pc.if_else(too_long, f"more than {longest}", f"fewer than {self._rule.min}")
        return pc.binary_join_element_wise("has ", pc.cast(lengths, pa.string()), f" {self._unit}, ", limit, "")

    def _lengths(self, values: pa.Array) -> pa.Array:
        measure = {"characters": pc.utf8_length, "items": pc.list_value_length, "bytes": pc.binary_length}
        return measure[self._unit](values)
