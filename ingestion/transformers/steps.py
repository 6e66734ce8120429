"""What a transformer is made of: steps, each of which takes a stream and gives a stream."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError, DataError
from ingestion.plugins import Batch

__all__ = ["BatchStep", "Seen", "Step", "beginning", "cut", "failure", "kept", "require_column", "spot"]


class Step(ABC):
    """One thing that happens to the rows of one run; made anew for each run, it may remember what it saw."""

    @abstractmethod
    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the changed batches; all that a batch says beside its rows is passed on."""


class BatchStep(Step):
    """A step that looks at one batch at a time; what it does to a row does not depend on how rows are cut."""

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield each batch changed; one without columns, where nothing was there to be read, as it is."""
        for batch in batches:
            yield self.change(batch) if batch.records.num_columns else batch
        self.finish()

    @abstractmethod
    def change(self, batch: Batch) -> Batch:
        """The changed batch; its schema does not depend on the values."""

    def finish(self) -> None:
        """Called after the last batch; raises ConfigError for what no batch had."""


class Seen:
    """The columns that came so far; files may differ in what they have."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    @property
    def names(self) -> list[str]:
        """Each of them once, in the order in which they came."""
        return list(self._names)

    def note(self, names: Iterable[str]) -> None:
        """Take these to those that came."""
        self._names |= dict.fromkeys(names)

    def missing(self, columns: Iterable[str]) -> Iterator[str]:
        """Those of *columns* that never came; none where no column came at all, as nothing was there to be read."""
        return (column for column in columns if self._names and column not in self._names)

    def require(self, columns: Iterable[str], option: str) -> None:
        """Raises ConfigError for one of *columns*, which transformer.*option* names, that is `missing`."""
        for column in self.missing(columns):
            require_column(column, option, self.names)


def kept(batch: Batch, rows: pa.BooleanArray, reason: str) -> Batch:
    """The batch with only the *rows* where the mask is true; the others are counted as removed for that *reason*."""
    indices = pc.indices_nonzero(rows.fill_null(fill_value=False))
    gone = batch.records.num_rows - len(indices)
    if not gone:
        return batch
    removed = Counter(batch.removed)
    removed[reason] += gone  # not by +, which drops the negative counts of rows that were added
    return batch._replace(records=batch.records.filter(rows), origin=batch.origin.take(indices), removed=removed)


def cut(batch: Batch, places: Iterable[tuple[int, int]]) -> Iterator[Batch]:
    """The batch in pieces from one row to before another; its news come with the first, its cursor with the last."""
    left = batch
    for start, end in places:
        if end == batch.records.num_rows:
            yield left if not start else _piece(left, batch, start, end)
            return
        yield _piece(left, batch, start, end)._replace(cursor=None)
        left = Batch(batch.records, batch.origin, cursor=batch.cursor)


def _piece(news: Batch, batch: Batch, start: int, end: int) -> Batch:
    origin = batch.origin.take(pa.array(range(start, end), pa.int64()))
    return news._replace(records=batch.records.slice(start, end - start), origin=origin)


def beginning(batch: Batch) -> str:
    """Where the rows of *batch* begin, as source:position."""
    if not batch.records.num_rows:
        return batch.origin.source
    return spot(batch.origin.source, batch.origin.at(pa.array([0]))[0].as_py())


def spot(source: str, position: int | None) -> str:
    """Where a row stands, as source:position; the source alone for a row that was made of several."""
    return source if position is None else f"{source}:{position}"


def failure(where: str, reason: str, veiled: str | None = None) -> DataError:
    """The end of a run by a row that has no result: *where*, as spot: option, and why, *veiled* without its values."""
    advice = "nothing was loaded. Mend the value, or set transformer.on_conversion_error: quarantine"
    return DataError(f"{where}: {reason}; {advice}", veiled=f"{where}: {veiled or reason}; {advice}")


def require_column(column: str, option: str, names: Sequence[str]) -> None:
    """Raises ConfigError, with the nearest name, where *names* lacks the *column* that transformer.*option* names."""
    if column in names:
        return
    near = get_close_matches(column, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(
        f"transformer.{option}: the source has no column {column!r}; {hint}it has: {', '.join(names)}{_doubt(names)}"
    )


def _doubt(names: Sequence[str]) -> str:
    """A question where a single name looks like a whole line of a file that was not cut into columns."""
    uncut = len(names) == 1 and any(character in names[0] for character in ";,\t|")
    return "; is source.delimiter right? auto finds it" if uncut else ""
