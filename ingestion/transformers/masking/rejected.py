"""Rejected rows of a job that masks columns: reason, origin and masked values, and nothing else of them."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.plugins import REJECTED
from ingestion.transformers.masking.methods import REDACTED, Masker
from ingestion.transformers.masking.sources import Sources

__all__ = ["Rejections"]

_WITHOUT_VALUES = ("ragged", "quote")  # rules of lines that are no rows; their reasons count cells and lines
_HIDDEN_ALREADY = ("filters[", "transformations[")  # rules whose reasons know which columns are masked
_PLACE = re.compile(r".*?:(?:\d+|None): ")
_SHORTEST_QUOTED = 3  # shorter values are in every sentence, and count where they stand behind their column's name
_LONGEST_VALUE = 200  # longer ones may have been cut
_HIDDEN = "the value does not fit, and the reason may show it; it is hidden, because the job masks columns"


class Rejections:
    """Masks what rejected rows of one run show."""

    def __init__(self, maskers: Mapping[str, Masker], sources: Sources[Masker]) -> None:
        self._maskers = maskers
        self._sources = sources

    def of_source(self, rejected: pa.RecordBatch | None, masked: Mapping[str, Masker] | None) -> pa.RecordBatch | None:
        """Rows that a source rejected, *masked* being those of its columns that are; None = any may be."""
        if rejected is None or not rejected.num_rows:
            return rejected
        given = [_object(row) for row in rejected.to_pylist()]  # few, or the run fails
        quoted = pa.array([_quotes(rejected, place, row, masked) for place, row in enumerate(given)], pa.bool_())
        rows = _without(rejected, [*self._veils_of_source(rejected, masked), (quoted, None)])
        texts = rejected["payload"].to_pylist()
        payloads = [_payload(row, masked, text) for row, text in zip(given, texts, strict=True)]
        rows = rows.set_column(*_field("payload"), pa.array(payloads, pa.string()))
        return rows.set_column(
            *_field("payload_schema"), pa.nulls(rows.num_rows, REJECTED.field("payload_schema").type)
        )

    def of_steps(self, rejected: pa.RecordBatch | None) -> pa.RecordBatch | None:
        """Rows that steps rejected; those that came rejected are masked already, and so is every payload."""
        if rejected is None or not rejected.num_rows:
            return rejected
        rejected = _without(rejected, self._veils_of_steps(rejected))
        lost = pc.and_(pc.equal(rejected["stage"], "transform"), _is_unmasked(rejected))
        payloads = pc.if_else(lost, "{}", rejected["payload"])
        known = rejected["payload_schema"]
        indices = pc.if_else(lost, pa.scalar(None, known.indices.type), known.indices)
        schemas = pa.DictionaryArray.from_arrays(indices, known.dictionary)
        return rejected.set_column(*_field("payload"), payloads).set_column(*_field("payload_schema"), schemas)

    def examples(self, examples: Mapping[str, str]) -> dict[str, str]:
        """What is told of rows by "column: rule"; of columns that may be masked it is the place alone."""
        return {label: self._example(label.rpartition(": ")[0] or None, text) for label, text in examples.items()}

    def _example(self, column: str | None, text: str) -> str:
        if self._sources.shows(column):
            return text
        place = _PLACE.match(text)
        return f"{place[0] if place else ''}{_HIDDEN}"

    def _veils_of_source(
        self, rejected: pa.RecordBatch, masked: Mapping[str, Masker] | None
    ) -> "list[tuple[pa.BooleanArray, Masker | None]]":
        """Which rows are hidden by which masker; None = all of them that they show."""
        if masked is None:
            return [(pa.repeat(pa.scalar(value=True), rejected.num_rows), None)]
        columns, rules = rejected["column"], rejected["rule"]
        veils: list[tuple[pa.BooleanArray, Masker | None]] = [
            (_is(columns, name), masker) for name, masker in masked.items()
        ]
        tells = pc.is_in(rules, pa.array(_WITHOUT_VALUES))
        return [*veils, (pc.and_(pc.is_null(columns), pc.invert(tells)), None)]

    def _veils_of_steps(self, rejected: pa.RecordBatch) -> "list[tuple[pa.BooleanArray, Masker | None]]":
        columns, rules = rejected["column"], rejected["rule"]
        before = pc.equal(rejected["stage"], "transform")
        for rule in _HIDDEN_ALREADY:
            before = pc.and_not(before, pc.starts_with(rules, rule))
        told = pc.or_(before, pc.equal(rejected["stage"], "validate"))
        veils: list[tuple[pa.BooleanArray, Masker | None]] = [
            (pc.and_(before, _is(columns, name)), masker) for name, masker in self._maskers.items()
        ]
        others = [name for name in pc.unique(columns).drop_null().to_pylist() if name not in self._maskers]
        veils += [(pc.and_(told, _is(columns, name)), None) for name in others if not self._sources.shows(name)]
        nameless = before if self._sources.shows(None) else told
        return [*veils, (pc.and_(nameless, pc.is_null(columns)), None)]


def _without(rejected: pa.RecordBatch, veils: "list[tuple[pa.BooleanArray, Masker | None]]") -> pa.RecordBatch:
    """*rejected* with values masked, and with reasons that do not quote them, where *veils* are."""
    values, reasons = rejected["value"], rejected["reason"]
    for here, masker in veils:
        if pc.any(here).as_py():
            values = pc.if_else(here, _masked(rejected["value"], masker), values)
            reasons = pc.if_else(here, _unquoted(rejected["reason"], rejected["value"], masker), reasons)
    return rejected.set_column(*_field("value"), values).set_column(*_field("reason"), reasons)


def _masked(values: pa.Array, masker: Masker | None) -> pa.Array:
    hidden = pc.if_else(pc.is_valid(values), REDACTED, pa.scalar(None, pa.string()))
    if masker is None:
        return hidden
    return pc.if_else(pc.greater_equal(pc.utf8_length(values), _LONGEST_VALUE), hidden, masker.masked(values))


def _unquoted(reasons: pa.Array, values: pa.Array, masker: Masker | None) -> pa.Array:
    """Reasons that begin with the quoted value, and do not show it again, without it; any other is hidden."""
    if masker is None:
        return pa.array([_HIDDEN] * len(reasons), pa.string())
    import polars as pl

    quoted = pl.DataFrame({"reason": pl.from_arrow(reasons), "value": pl.from_arrow(values)})
    prefix = pl.concat_str(pl.lit("'"), "value", pl.lit("'"))
    rest = pl.col("reason").str.strip_prefix(prefix)
    clear = pl.col("reason").str.starts_with(prefix) & ~(
        rest.str.contains(pl.col("value"), literal=True) & (pl.col("value").str.len_chars() > 1)
    )
    told = pl.when(clear).then(pl.concat_str(pl.lit(f"'{REDACTED}'"), rest)).otherwise(pl.lit(_HIDDEN))
    return quoted.select(told).to_series().to_arrow().cast(pa.string())


def _object(rejected: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row as it was read; None for a line that is none, whatever its text looks like."""
    if rejected["payload_schema"] is None:
        return None
    try:
        row = json.loads(rejected["payload"])
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _quotes(
    rejected: pa.RecordBatch, place: int, row: Mapping[str, Any] | None, masked: Mapping[str, Masker] | None
) -> bool:
    """Whether the value or the reason of another column quotes a masked one of the same row."""
    if row is None or masked is None or rejected["column"][place].as_py() in masked:
        return False
    told = f"{rejected['reason'][place]} {rejected['value'][place]}"
    values = {name: str(row[name]) for name in masked if row.get(name) is not None}
    return any(
        value in told if len(value) >= _SHORTEST_QUOTED else f"{name}={value}" in told for name, value in values.items()
    )


def _payload(row: Mapping[str, Any] | None, masked: Mapping[str, Masker] | None, text: str) -> str:
    """The row as it may be shown: an object with its values masked, or of lines that are none how many there are."""
    if row is None:
        return "\n".join([REDACTED] * (text.count("\n") + 1))
    if masked is None:
        return "{}"
    shown = {name: _shown(value, masked[name]) if name in masked else value for name, value in row.items()}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def _shown(value: Any, masker: Masker) -> str | None:
    if isinstance(value, str):
        return str(masker.masked(pa.array([value]))[0])
    return None if value is None else REDACTED


def _is_unmasked(rejected: pa.RecordBatch) -> pa.BooleanArray:
    """Which payloads were not made of rows as read, which know what may be told of them."""
    return pc.or_(pc.is_valid(rejected["payload_schema"]), pc.is_null(rejected["position"]))


def _is(columns: pa.Array, name: str) -> pa.BooleanArray:
    return pc.fill_null(pc.equal(columns, name), fill_value=False)


def _field(name: str) -> tuple[int, pa.Field]:
    place = REJECTED.get_field_index(name)
    return place, REJECTED.field(place)
