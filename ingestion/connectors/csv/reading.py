"""One load of CSV files: opened one after the other, parsed side by side, yielded in order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.connectors.csv.blocks import Block, Blocks, Care
from ingestion.connectors.csv.bundles import Part, bundled, parse_all
from ingestion.connectors.csv.cells import StrayQuoteError, read_cells
from ingestion.connectors.csv.inference import Rules, infer
from ingestion.connectors.csv.parse import Layout, Parsed, tidy
from ingestion.connectors.csv.plan import Plan, sample_of
from ingestion.connectors.csv.texts import headed
from ingestion.connectors.files import Chosen
from ingestion.connectors.files.window import in_order
from ingestion.errors import DataError
from ingestion.plugins import Batch, Restart

if TYPE_CHECKING:
    from ingestion.connectors.csv.connector import CsvConnector

__all__ = ["Reading"]

_SAMPLED_FILES = 9
_RESTARTS_BEFORE_FULL = 2

_Types = dict[str, pa.DataType | None]


class Reading:
    """The rows of *files*, from as many passes over them as their types need."""

    def __init__(self, source: "CsvConnector", files: Sequence[Chosen], known: pa.Schema | None) -> None:
        self._source = source
        self._files = files
        self._plan = Plan(source.schema_hints, known, infer=source.infer != "none")
        self._care: dict[str, Care] = {}
        self._restarts = 0

    def rows(self) -> Iterator[Batch | Restart]:
        """Yield every batch; after a Restart all of them once more, with wider types."""
        self._prepare()
        while True:
            reason = None
            with closing(in_order(self._tasks())) as results:
                for part, parsed in (pair for pairs in results for pair in pairs):
                    if parsed.batch is None:
                        reason = self._learn(part.layout.label, parsed)
                        break
                    part.chosen.rows += parsed.batch.records.num_rows
                    yield parsed.batch
            if reason is None:
                return
            self._start_over()
            yield Restart(reason)

    def _prepare(self) -> None:
        source, plan = self._source, self._plan
        for chosen in _spread(self._files):
            with source.opening.open(chosen.file.path) as (_, texts):
                for blocks, names in headed(texts, source, self._care):
                    plan.note(names)
                    self._sample(blocks, names, chosen, plan.undecided(names))
        plan.check_hints()
        if source.infer == "full":
            self._look_at_everything()

    def _sample(self, blocks: Blocks, names: list[str], chosen: Chosen, undecided: list[str]) -> None:
        source = self._source
        if undecided and source.infer != "none":
            types = sample_of(blocks, chosen.file, names, undecided, count=source.sample_rows, rules=source.rules)
            self._plan.learn(types)

    def _start_over(self) -> None:
        self._restarts += 1
        if self._restarts == _RESTARTS_BEFORE_FULL and self._source.infer != "none":
            self._look_at_everything()
        for chosen in self._files:
            if not chosen.touched:
                chosen.hash, chosen.rows = None, 0

    def _learn(self, label: str, parsed: Parsed) -> str:
        if parsed.stray_quote:
            return self._take_care(label)
        self._plan.learn(parsed.wider)
        wider = self._plan.columns_of(list(parsed.wider))
        columns = ", ".join(f"{column.name} as {column.dtype}" for column in wider)
        return f"{label}: later values need a wider type: {columns}"

    def _take_care(self, label: str) -> str:
        """Have the text cut with more care from now on, because it was cut inside quotes."""
        if self._care.get(label) == "records":
            raise DataError.without_values(
                f"{label}: its quotes cannot be told apart; set source.quote_char, or multiline: false"
            )
        self._care[label] = "records" if label in self._care else "quotes"
        return f"{label}: cells span lines where none seemed to; reading again by {self._care[label]}"

    def _tasks(self) -> Iterator[Callable[[], list[tuple[Part, Parsed]]]]:
        return (partial(_work, parts) for parts in bundled(self._parts()))

    def _parts(self) -> Iterator[Part]:
        for chosen in self._files:
            with self._source.opening.open(chosen.file.path) as (stored, texts):
                if not chosen.touched:
                    chosen.file = stored.found
                any_ = False
                for blocks, names in headed(texts, self._source, self._care):
                    any_ = True
                    yield from _parts_of(blocks, self._layout(blocks, names, chosen), chosen)
                if any_ and not chosen.touched:
                    chosen.hash = stored.digest()

    def _layout(self, blocks: Blocks, names: list[str], chosen: Chosen) -> Layout:
        plan = self._plan
        fresh = plan.note(names)
        if fresh:
            self._sample(blocks, names, chosen, plan.undecided(fresh))
        present = set(names)
        return Layout(
            label=blocks.text.label,
            file=chosen.file,
            columns=plan.columns_of(names),
            missing=tuple(column for column in plan.columns if column.name not in present),
            dialect=blocks.dialect,
            source=self._source,
        )

    def _look_at_everything(self) -> None:
        """Learn the types of all free columns from every value."""
        cut_wrong = None
        with closing(in_order(self._looks())) as looks:
            for label, types in looks:
                if types is None:
                    cut_wrong = label
                    break
                self._plan.learn(types)
        if cut_wrong is not None:
            self._take_care(cut_wrong)
            self._look_at_everything()

    def _looks(self) -> Iterator[Callable[[], tuple[str, _Types | None]]]:
        for chosen in self._files:
            with self._source.opening.open(chosen.file.path) as (_, texts):
                for blocks, names in headed(texts, self._source, self._care):
                    self._plan.note(names)
                    undecided = self._plan.undecided(names)
                    for block in blocks if undecided and not chosen.touched else ():
                        yield partial(_look, block, blocks, names, undecided, self._source.rules)


def _parts_of(blocks: Blocks, layout: Layout, chosen: Chosen) -> Iterator[Part]:
    any_ = False
    for block in () if chosen.touched else blocks:
        any_ = True
        yield Part(chosen, layout, block)
    if not any_:
        yield Part(chosen, layout, None, blocks.text.stored.newly_read())


def _work(parts: list[Part]) -> list[tuple[Part, Parsed]]:
    return list(zip(parts, parse_all(parts), strict=True))


def _look(block: Block, blocks: Blocks, names: list[str], wanted: list[str], rules: Rules) -> tuple[str, _Types | None]:
    """The label of a text and the types of a block of it; none where it was cut inside quotes."""
    label = blocks.text.label
    try:
        cells = read_cells(block, names, blocks.dialect, label)
    except StrayQuoteError:
        return label, None
    rows = tidy(cells, blocks.dialect, block.first_line).rows
    return label, {name: infer(rows[name], rules) for name in wanted}


def _spread(files: Sequence[Chosen]) -> list[Chosen]:
    """A few of *files*: all where there are few, else the first, the last, and some between."""
    if len(files) <= _SAMPLED_FILES:
        return list(files)
    step = (len(files) - 1) / (_SAMPLED_FILES - 1)
    return [files[round(number * step)] for number in range(_SAMPLED_FILES)]
