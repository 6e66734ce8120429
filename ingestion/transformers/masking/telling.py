"""Errors of a run that masks columns, without values of its rows."""

import re
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import DataError, IngestionError
from ingestion.plugins import Batch, Origin
from ingestion.stream import StartOver

__all__ = ["InSight", "is_told", "veiled"]

_SHORTEST = 3  # characters of a value that is looked for in a text; shorter ones are in every text
_COMPARED = 40  # characters of a value; errors cut long ones
_BECAUSE = ", because the job masks columns (transformer.mask)"
_OPTION = re.compile(r"\b(?:transformer|source)(?:\.\w+|\[\d+\])+")


class InSight:
    """The batch that the steps are at work on."""

    def __init__(self) -> None:
        self.origin: Origin | None = None
        self._columns: list[pa.Array] = []

    def look_at(self, batch: Batch, masked: Mapping[str, object] | None) -> None:
        """Remember the values of *masked* columns of *batch*; None = of all."""
        self.origin = batch.origin
        names = batch.records.schema.names
        self._columns = [batch.records[name] for name in names if masked is None or name in masked]

    def look_away(self) -> None:
        """Forget the values: the steps are done with them."""
        self._columns = []

    def shown_in(self, text: str) -> bool:
        """Whether *text* quotes one of the values."""
        return any(spelled in text for column in self._columns for spelled in _spelled(column))


def is_told(error: BaseException) -> bool:
    """Whether *error* is one that people are told of, and no mere signal such as the end of a run."""
    if isinstance(error, StartOver):
        return False
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"  # polars; no Exception


def veiled(error: BaseException, sight: InSight) -> IngestionError:
    """*error* without what it was raised from, and with a text that shows no value of *sight*.

    A DataError tells the text that its raiser gave for such runs, or nothing but its place; so does an error that
    nobody raised on purpose.
    """
    if not isinstance(error, IngestionError):
        told = DataError(f"{_place(sight)}{type(error).__name__}; its text may show values and is hidden{_BECAUSE}")
        return told.with_traceback(error.__traceback__)
    text = str(error)
    if error.veiled is not None:
        text = error.veiled
    elif isinstance(error, DataError) or sight.shown_in(text):
        option = _OPTION.search(text)
        about = f" about {option[0]}" if option else ""
        text = f"{_place(sight)}{type(error).__name__}{about}; its text may show values and is hidden{_BECAUSE}"
    error.args = (text,)
    error.__cause__ = error.__context__ = None
    error.__dict__.pop("__notes__", None)
    return error


def _place(sight: InSight) -> str:
    if sight.origin is None:
        return ""
    first = sight.origin.at(pa.array([0])) if sight.origin.positions is None else sight.origin.positions[:1]
    position = first[0].as_py() if len(first) else None
    return f"{sight.origin.source}: at or after position {position}: " if position else f"{sight.origin.source}: "


def _spelled(column: pa.Array) -> Iterator[str]:
    """Each distinct value as a text may quote it."""
    for value in pc.unique(column).to_pylist() if not pa.types.is_nested(column.type) else column.to_pylist():
        for text in (str(value), repr(value)[1:-1]):
            if value is not None and len(text) >= _SHORTEST:
                yield text[:_COMPARED]
