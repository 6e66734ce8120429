"""What every check asks, whatever the plugin."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from ingestion.plugins import REJECTED, Batch, Plugin

__all__ = ["check_batch", "check_configuration", "counts", "require", "rows_of", "schema_of"]


def require(holds: object, sentence: str) -> None:
    """*holds*, or an AssertionError that says *sentence*."""
    if not holds:
        raise AssertionError(sentence)


def check_configuration(plugin: Plugin) -> None:
    """It is its YAML and back, and every option says what it means."""
    written = plugin.as_written()
    json.dumps(written)
    same = type(plugin).model_validate({**written, "type": plugin.type})
    require(same == plugin, f"{written} gives another {plugin.type} than the one it was written from")
    options = type(plugin).model_json_schema().get("properties", {})
    silent = [name for name, option in options.items() if name != "type" and not option.get("description")]
    require(not silent, f"{', '.join(silent)}: an option needs a docstring, which editors and the JSON Schema show")


def check_batch(batch: Batch) -> None:
    """A batch is sound in itself."""
    batch.records.validate(full=True)
    names = Counter(batch.records.schema.names)
    require(max(names.values(), default=1) == 1, f"columns {', '.join(names)}: each name may stand once")
    positions, count = batch.origin.positions, batch.records.num_rows
    require(
        positions is None or len(positions) == count,
        f"the origin has {0 if positions is None else len(positions)} positions for {count} rows; use Origin.take",
    )
    if batch.rejected is not None:
        require(batch.rejected.schema.equals(REJECTED), "rejected rows need the schema REJECTED; use quarantine.reject")
        batch.rejected.validate(full=True)


def rows_of(batches: Iterable[Batch]) -> int:
    """Rows in every state; those that were added on the way count negative among the removed."""
    return sum(
        batch.records.num_rows + (batch.rejected.num_rows if batch.rejected else 0) + sum(batch.removed.values())
        for batch in batches
    )


def counts(batches: Sequence[Batch]) -> str:
    """How many rows passed and how many did not, in words."""
    passed = sum(batch.records.num_rows for batch in batches)
    rejected = sum(batch.rejected.num_rows for batch in batches if batch.rejected)
    return f"{passed} rows passed and {rejected} were rejected"


def schema_of(batches: Iterable[Batch]) -> pa.Schema:
    """The columns of all batches together."""
    try:
        return pa.unify_schemas([batch.records.schema for batch in batches], promote_options="default")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise AssertionError(f"a column has another type in another batch: {error}") from error
