"""Which files are written anew and which get a delete file beside them."""

from collections.abc import Collection, Iterable
from typing import Literal, TypeAlias

from ingestion.errors import ConfigError
from ingestion.loaders.iceberg.merge.gone import Gone
from ingestion.loaders.iceberg.merge.search import Hits

__all__ = ["Strategy", "cheap", "possible", "rewritten"]

Strategy: TypeAlias = Literal["auto", "copy_on_write", "merge_on_read"]

_CHEAP = 16 << 20  # bytes of touched files: rewriting them takes about as long as the commit itself
_SHARE = 0.25  # of a file's rows that are gone: from here on each scan loses more than rewriting costs once


def possible(strategy: Strategy, format_version: int) -> Strategy:
    """The strategy in a table of this format version, of which the first has no delete files."""
    if format_version > 1:
        return strategy
    if strategy == "merge_on_read":
        raise ConfigError(
            "loader.merge_strategy: merge_on_read needs a table of Iceberg format version 2, and this one is of "
            "version 1; set copy_on_write, or table_properties: {format-version: 2} when the table is created"
        )
    return "copy_on_write"


def cheap(touched: Iterable[Hits | Gone]) -> bool:
    """Whether to rewrite all of these files costs next to nothing."""
    return sum(int(hits.reader.live.file.file_size_in_bytes) for hits in touched) <= _CHEAP


def rewritten(touched: Collection[Gone], strategy: Strategy) -> set[str]:
    """The paths of those files that are to be written anew without the rows that are gone."""
    if strategy == "auto" and not cheap(touched):
        return {gone.reader.live.path for gone in touched if _is_worn(gone)}
    return set() if strategy == "merge_on_read" else {gone.reader.live.path for gone in touched}


def _is_worn(gone: Gone) -> bool:
    return gone.count + len(gone.reader.dead) >= _SHARE * gone.reader.live.rows
