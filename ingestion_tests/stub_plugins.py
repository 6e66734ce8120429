"""Plugins that do nothing, for tests of what surrounds plugins."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import AliasChoices, Field

from ingestion.plugins import Batch, Connector, Load, Loader, LoadResult, State, Transformer


class StubConnector(Connector):
    type: Literal["stub"] = "stub"
    source_path: str
    """Where it would read."""
    file_pattern: str | None = None
    port: int = 5432
    password: str | None = None
    header: bool | list[str] = True
    on_bad_row: Literal["quarantine", "fail", "drop"] = "quarantine"
    incremental: bool | None = None

    def beside(self, loader: Loader) -> Any:
        return self.with_defaults(incremental=not loader.replaces_all)

    def read(self, cursor: Any, known: Any) -> Iterator[Batch]:
        yield from ()


class StubTransformer(Transformer):
    type: Literal["stub"] = "stub"
    column_mapping: dict[str, str] = Field({}, validation_alias=AliasChoices("column_mapping", "rename_columns"))
    date_columns: list[str] = []

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        yield from batches


class StubLoader(Loader):
    type: Literal["stub"] = "stub"
    write_mode: Literal["append", "overwrite"] = "append"

    @property
    def replaces_all(self) -> bool:
        return self.write_mode == "overwrite"

    def state(self, job: str) -> State:
        return State()

    def load(self, load: Load, batches: Iterator[Batch]) -> LoadResult:
        raise AssertionError(f"nothing to load by {load.job}: {list(batches)}")
