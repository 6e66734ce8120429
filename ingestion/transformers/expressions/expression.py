"""A formula or condition of a job file."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError, DataError
from ingestion.parsing import keep, type_name
from ingestion.plugins import Origin
from ingestion.transformers.expressions.grammar import parse
from ingestion.transformers.expressions.limits import check_limits, quote
from ingestion.transformers.expressions.nodes import Column, Node, walk
from ingestion.transformers.expressions.sizes import Piece, need, pieces
from ingestion.transformers.expressions.telling import example, faulty

if TYPE_CHECKING:
    from ingestion.transformers.expressions.program import Program

__all__ = ["Expression", "Results"]


class Results(NamedTuple):
    """What an expression gives for every row."""

    values: pa.Array  # null where there is no result
    faulty: pa.Array  # int64: the rows for which there is no result, in order
    reasons: pa.Array  # why not, one sentence for each of those
    operands: pa.Array  # the values of the columns there, as text


@dataclass(frozen=True)
class Expression:
    """SQL over the columns of one row: safe to take from anybody, and the same for a row whatever stands around it."""

    text: str
    node: Node = field(repr=False)
    zone: str | None = None

    @classmethod
    def parse(cls, text: str, zone: str | None = None) -> "Expression":
        """The expression that *text* is; raises ConfigError that quotes it where it is none, or not allowed.

        Dates and times in it that are written without an offset stand in *zone* where a timestamptz is beside them.
        """
        node = parse(text)
        check_limits(text, node)
        return cls(text, node, zone)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, each once."""
        return tuple(dict.fromkeys(node.name for node in walk(self.node) if isinstance(node, Column)))

    def evaluate(
        self, records: pa.RecordBatch, place: object, origin: Origin, hidden: frozenset[str] = frozenset()
    ) -> Results:
        """The result for every row; its type follows from the schema of *records* alone.

        *place* is the key of the job file that errors name; values of *hidden* columns are not shown. Raises
        ConfigError for a column that is not there and for types that do not go together, DataError where polars gives
        up.
        """
        if isinstance(self.node, Column) and self.node.name in records.schema.names:
            return _complete(records.column(self.node.name))
        wanted = list(pieces(need(self.node), records))
        if len(wanted) == 1:
            return self._evaluated(wanted[0], records, place, origin, hidden)
        results = []
        for piece in wanted:
            part, there = _cut(records, origin, piece)
            found = self._evaluated(piece, part, place, there, hidden)
            results.append(found._replace(faulty=pc.add(found.faulty, piece.start)))
        return Results(*map(pa.concat_arrays, zip(*results, strict=True)))

    def decide(
        self, records: pa.RecordBatch, place: object, origin: Origin, hidden: frozenset[str] = frozenset()
    ) -> Results:
        """The same, as booleans; raises ConfigError for an expression that gives anything else, too."""
        results = self.evaluate(records, place, origin, hidden)
        dtype = results.values.type
        if not (pa.types.is_boolean(dtype) or pa.types.is_null(dtype)):
            raise ConfigError(
                f"{place}: {self.text!r} gives {type_name(dtype)}, not true or false; compare it with something"
            )
        return results._replace(values=pc.cast(results.values, pa.bool_()))

    def places(self, records: pa.RecordBatch) -> Iterator[tuple[int, int]]:
        """Where to cut the rows so that those from one to before another take a bounded amount of memory together.

        What is made of them, on the way to the result as well, counts as much as they do themselves.
        """
        return ((piece.start, piece.end) for piece in pieces(need(self.node), records))

    def _evaluated(
        self, piece: Piece, records: pa.RecordBatch, place: object, origin: Origin, hidden: frozenset[str]
    ) -> Results:
        from polars.exceptions import PanicException, PolarsError

        try:
            program = _program(self.text, self.node, records.schema, self.zone)
        except ConfigError as error:
            shown = example(error, records, origin, hidden)
            raise ConfigError(f"{place}: {error}{shown}") from error
        except (PolarsError, PanicException, pa.ArrowException) as error:
            raise ConfigError(
                f"{place}: {quote(self.text)} cannot be calculated for columns of such types "
                f"({type(error).__name__}); name them in transformer.types, or write it otherwise"
            ) from error
        try:
            whole = piece.refused is None
            values, faults = program.run(records) if whole else program.refuse(self.node, piece.refused or 0)
        except (PolarsError, PanicException, pa.ArrowException) as error:
            where = f"{origin.source}:{origin.at(pa.array([0]))[0].as_py()}" if records.num_rows else origin.source
            raise DataError.without_values(
                f"{place}: {quote(self.text)} failed for the rows from {where} on: {type(error).__name__}"
            ) from error
        if not faults:
            return _complete(values)
        rows, reasons, operands = faulty(faults, records, hidden)
        there = np.ones(records.num_rows, bool)
        there[rows.to_numpy()] = False
        return Results(keep(values, pa.array(there)), rows, reasons, operands)


def _cut(records: pa.RecordBatch, origin: Origin, piece: Piece) -> tuple[pa.RecordBatch, Origin]:
    count = piece.end - piece.start
    return records.slice(piece.start, count), origin.take(pa.array(range(piece.start, piece.end), pa.int64()))


def _complete(values: pa.Array) -> Results:
    nothing = pa.array([], pa.string())
    return Results(values, pa.array([], pa.int64()), nothing, nothing)


@lru_cache(maxsize=256)
def _program(  # nodes spelled otherwise are equal
    _text: str, node: Node, schema: pa.Schema, zone: str | None
) -> "Program":
    from ingestion.transformers.expressions.finishing import compiled

    return compiled(node, schema, zone)
