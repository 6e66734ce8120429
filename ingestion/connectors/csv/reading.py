"""One load of CSV files: opened one after the other, parsed side by side, yielded in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import pyarrow as pa

from ingestion.connectors.csv.blocks import Block, Blocks, Care
from ingestion.connectors.csv.cells import read_cells
from ingestion.connectors.csv.dialect import Dialect, unique
from ingestion.connectors.csv.inference import Rules, infer
from ingestion.connectors.csv.parse import Layout, Parsed, empty, parse, tidy
from ingestion.connectors.csv.plan import Plan, sample_of
from ingestion.connectors.files import Chosen, Opening, Text, wrong_encoding
from ingestion.connectors.files.window import in_order
from ingestion.errors import DataError
from ingestion.plugins import Batch, Restart

__all__ = ["How", "Reading"]

_SNIFFED = 1 << 16
_SAMPLED_FILES = 9
_RESTARTS_BEFORE_FULL = 2


@dataclass(frozen=True)
class How:
    """The options of a CSV source, settled."""

    opening: Opening
    dialect: Dialect
    sniff: bool
    header: bool | tuple[str, ...]
    skip_rows: int
    skip_footer: int
    hints: Mapping[str, str]
    infer: Literal["sample", "full", "none"]
    sample_rows: int
    rules: Rules
    on_bad_row: Literal["quarantine", "fail", "drop"]
    metadata: bool


class _Result(NamedTuple):
    chosen: Chosen
    parsed: Parsed
    label: str


_Types = dict[str, pa.DataType | None]


class Reading:
    """The rows of *files*, from as many passes over them as their types need."""

    def __init__(self, how: How, files: Sequence[Chosen], known: pa.Schema | None) -> None:
        self._how = how
        self._files = files
        self._plan = Plan(how.hints, known, how.rules)
        self._care: dict[str, Care] = {}
        self._restarts = 0

    def rows(self) -> Iterator[Batch | Restart]:
        """Yield every batch; after a Restart all of them once more, with wider types."""
        self._prepare()
        while True:
            reason = None
            with closing(in_order(self._tasks())) as results:
                for result in results:
                    if result.parsed.batch is None:
                        reason = self._learn(result)
                        break
                    result.chosen.rows += result.parsed.batch.records.num_rows
                    yield result.parsed.batch
            if reason is None:
                return
            self._start_over()
            yield Restart(reason)

    def _prepare(self) -> None:
        for chosen in _spread(self._files):
            self._sample(chosen)
        self._plan.check_hints()
        if self._how.infer == "full":
            self._look_at_everything()

    def _start_over(self) -> None:
        self._restarts += 1
        if self._restarts == _RESTARTS_BEFORE_FULL and self._how.infer != "none":
            self._look_at_everything()
        for chosen in self._files:
            if not chosen.touched:
                chosen.hash, chosen.rows = None, 0

    def _learn(self, result: _Result) -> str:
        if result.parsed.stray_quote:
            self._care[result.label] = "records" if result.label in self._care else "quotes"
            return f"{result.label}: cells span lines where none seemed to; reading again by {self._care[result.label]}"
        self._plan.learn(result.parsed.wider)
        columns = ", ".join(
            f"{column.name} as {column.dtype}" for column in self._plan.columns_of(list(result.parsed.wider))
        )
        return f"{result.label}: later values need a wider type: {columns}"

    def _tasks(self) -> Iterator[Callable[[], _Result]]:
        for chosen in self._files:
            with self._how.opening.open(chosen.file.path) as (stored, texts):
                if not chosen.touched:
                    chosen.file = stored.found
                for text in texts:
                    blocks = self._blocks(text)
                    names = self._names(blocks)
                    if not names:
                        continue
                    layout = self._layout(blocks, names, chosen)
                    yield from (
                        partial(_work, step, chosen, text.label) for step in self._steps(blocks, layout, chosen)
                    )
                    chosen.hash = chosen.hash or _AT_END
                if chosen.hash == _AT_END:
                    chosen.hash = stored.digest()

    def _steps(self, blocks: Blocks, layout: Layout, chosen: Chosen) -> Iterator[Callable[[], Parsed]]:
        any_ = False
        for block in () if chosen.touched else blocks:
            any_ = True
            yield partial(parse, block, layout)
        if not any_:
            yield partial(empty, layout, blocks.text.stored.newly_read())

    def _blocks(self, text: Text) -> Blocks:
        care = self._care.get(text.label, "lines")
        blocks = Blocks(text, self._how.dialect, care=care, skip_footer=self._how.skip_footer)
        blocks.skip(self._how.skip_rows)
        if self._how.sniff:
            blocks.dialect = self._how.dialect.sniffed(blocks.head(_SNIFFED)[:_SNIFFED])
        return blocks

    def _names(self, blocks: Blocks) -> list[str]:
        """The text's column names; none where it is empty."""
        header = self._how.header
        first = blocks.header(take=header is True)
        if b"\x00" in first:
            raise DataError(
                f"{blocks.text.label}: NUL bytes in the header; set source.encoding, for example utf-16-le or auto"
            )
        if isinstance(header, tuple):
            names = list(header) if first else []
        else:
            names = self._header_cells(blocks, first) if first else []
        blocks.width = len(names)
        return names if header else unique([""] * len(names))

    def _header_cells(self, blocks: Blocks, first: bytes) -> list[str]:
        try:
            return blocks.dialect.header(first)
        except UnicodeDecodeError as error:
            line = max(blocks.line - first.count(b"\n"), 1)
            raise wrong_encoding(blocks.text.label, "utf-8", error, line, error.start + 1) from error

    def _layout(self, blocks: Blocks, names: list[str], chosen: Chosen) -> Layout:
        how, plan = self._how, self._plan
        if plan.lacks(names):
            self._take(blocks, names, chosen)
        present = set(names)
        return Layout(
            label=blocks.text.label,
            file=chosen.file,
            columns=plan.columns_of(names),
            missing=tuple(column for column in plan.columns if column.name not in present),
            dialect=blocks.dialect,
            rules=how.rules,
            on_bad_row=how.on_bad_row,
            metadata=how.metadata,
        )

    def _sample(self, chosen: Chosen) -> None:
        with self._how.opening.open(chosen.file.path) as (_, texts):
            for text in texts:
                blocks = self._blocks(text)
                names = self._names(blocks)
                if names:
                    self._take(blocks, names, chosen, always=True)

    def _take(self, blocks: Blocks, names: list[str], chosen: Chosen, *, always: bool = False) -> None:
        """Take a text's columns into the plan, with the types that a sample shows."""
        undecided = self._plan.undecided(names)
        if not always:
            seen = {column.name for column in self._plan.columns}
            undecided = [name for name in undecided if name not in seen]
        self._plan.note(names)
        if undecided and self._how.infer != "none":
            how = self._how
            self._plan.learn(sample_of(blocks, chosen.file, names, undecided, count=how.sample_rows, rules=how.rules))

    def _look_at_everything(self) -> None:
        """Learn the types of all free columns from every value."""
        with closing(in_order(self._looks())) as looks:
            for types in looks:
                self._plan.learn(types)

    def _looks(self) -> Iterator[Callable[[], _Types]]:
        for chosen in self._files:
            with self._how.opening.open(chosen.file.path) as (_, texts):
                for text in texts:
                    blocks = self._blocks(text)
                    names = self._names(blocks)
                    self._plan.note(names)
                    undecided = self._plan.undecided(names)
                    for block in blocks if undecided and not chosen.touched else ():
                        yield partial(_look, block, blocks, names, undecided, self._how.rules)


_AT_END = "read, but not to its end yet"


def _work(step: Callable[[], Parsed], chosen: Chosen, label: str) -> _Result:
    return _Result(chosen, step(), label)


def _look(block: Block, blocks: Blocks, names: list[str], wanted: list[str], rules: Rules) -> _Types:
    rows = tidy(read_cells(block, names, blocks.dialect, blocks.text.label), blocks.dialect, block.first_line).rows
    return {name: infer(rows[name], rules) for name in wanted}


def _spread(files: Sequence[Chosen]) -> list[Chosen]:
    """A few of *files*: all where there are few, else the first, the last, and some between."""
    if len(files) <= _SAMPLED_FILES:
        return list(files)
    step = (len(files) - 1) / (_SAMPLED_FILES - 1)
    return [files[round(number * step)] for number in range(_SAMPLED_FILES)]
