"""The partitions of an asset as parts of its table."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import prod
from typing import Any

import dagster as dg

from ingestion.errors import ConfigError
from ingestion.plugins import Part

__all__ = ["parts_of"]


def parts_of(context: dg.OutputContext | dg.InputContext, expression: Any) -> tuple[Part, ...]:
    """The part of the table that the partitions of *context* stand for; none where the asset has no partitions.

    *expression* is the metadata partition_expr: the column that tells them apart, or one for each dimension.
    Raises ConfigError where it is missing, or where the partitions of two dimensions are no grid.
    """
    if not context.has_asset_partitions:
        return ()
    definition, keys = context.asset_partitions_def, context.asset_partition_keys
    if expression is None:
        raise ConfigError(
            f"asset {context.asset_key.to_user_string()} has partitions, and nothing says which of its rows are in "
            f"which; set metadata={{'partition_expr': 'the column'}}"
        )
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return _grid(definition, keys, expression)
    if not isinstance(expression, str):
        raise ConfigError(f"partition_expr should be the name of a column, not {expression!r}")
    return (_part(definition, keys, expression),)


def _grid(definition: dg.MultiPartitionsDefinition, keys: Sequence[str], columns: Any) -> tuple[Part, ...]:
    names = [dimension.name for dimension in definition.partitions_defs]
    if not isinstance(columns, Mapping) or set(columns) != set(names):
        raise ConfigError(
            f"partition_expr should name a column for each of {', '.join(names)}, as in "
            f"{{{', '.join(f'{name!r}: {name!r}' for name in names)}}}, not {columns!r}"
        )
    found = [definition.get_partition_key_from_str(key).keys_by_dimension for key in keys]
    wanted = {name: list(dict.fromkeys(key[name] for key in found)) for name in names}
    if prod(map(len, wanted.values())) != len(set(keys)):
        raise ConfigError(
            "these partitions of several dimensions are no grid, and cannot be read or written together; "
            "launch one run for each of them"
        )
    return tuple(
        _part(dimension.partitions_def, wanted[dimension.name], columns[dimension.name])
        for dimension in definition.partitions_defs
    )


def _part(definition: dg.PartitionsDefinition, keys: Sequence[str], column: str) -> Part:
    if not isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return Part(column, tuple(keys))
    windows = sorted(definition.time_window_for_partition_key(key) for key in keys)
    return Part(column, tuple(keys), tuple(_joined((window.start, window.end) for window in windows)))


def _joined(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Spans that follow upon one another as one."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
