"""What a CSV source yields, gathered for tests."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingestion.connectors import ConnectorFactory
from ingestion.plugins import REJECTED, Cursor, Restart


@dataclass
class Loaded:
    """Everything that came after the last restart."""

    records: list[pa.RecordBatch] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    cursors: list[Cursor] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    bytes_read: int = 0
    restarts: list[str] = field(default_factory=list)

    @property
    def table(self) -> pa.Table:
        return pa.concat_tables([pa.Table.from_batches([batch]) for batch in self.records], promote_options="default")

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.table.to_pylist() if self.records else []

    @property
    def types(self) -> dict[str, str]:
        return {column.name: str(column.type) for column in self.table.schema}

    @property
    def bad_lines(self) -> list[int]:
        return [row["position"] for row in self.rejects]

    @property
    def cursor(self) -> Cursor:
        return self.cursors[-1]


def load(path: Path | str, *, since: Cursor = None, known: pa.Schema | None = None, **options: Any) -> Loaded:
    """Read *path* as the pipeline would."""
    connector = ConnectorFactory.create({"type": "csv", "source_path": str(path), **options})
    loaded = Loaded()
    for item in connector.read(since, known):
        if isinstance(item, Restart):
            loaded = Loaded(restarts=[*loaded.restarts, item.reason])
            continue
        assert item.rejected is None or item.rejected.schema == REJECTED
        loaded.records.append(item.records)
        loaded.rejects += item.rejected.to_pylist() if item.rejected is not None else []
        loaded.positions += item.origin.at(pa.array(range(item.records.num_rows), pa.int64())).to_pylist()
        loaded.removed.update(item.removed)
        loaded.cursors.append(item.cursor)
        loaded.sources.append(item.origin.source)
        loaded.bytes_read += item.bytes_read
    assert all(cursor is None for cursor in loaded.cursors[:-1]), "only the last batch may carry the cursor"
    return loaded


def write(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    """A file with this content."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
