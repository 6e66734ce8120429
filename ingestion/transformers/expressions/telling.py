"""How people are told of rows for which an expression has no result."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.plugins import Origin
from ingestion.transformers.expressions.nodes import Column, Node, walk

if TYPE_CHECKING:
    from ingestion.transformers.expressions.stages import Fault

__all__ = ["example", "faulty"]

_LONGEST = 200


def faulty(
    faults: Sequence["Fault"], records: pa.RecordBatch, hidden: frozenset[str]
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The rows of the faults, a sentence for each, and the values that were there; the first fault of a row counts."""
    seen = pa.repeat(pa.scalar(value=False), records.num_rows)
    rows, reasons, operands = [], [], []
    for fault in faults:
        mask = pc.cast(fault.rows.to_arrow(), pa.bool_())
        found = pc.cast(pc.indices_nonzero(pc.and_not(mask, seen)), pa.int64())
        seen = pc.or_(seen, mask)
        values = _values(fault.node, records.take(found), hidden)
        rows.append(found)
        operands.append(values)
        sentence = pa.scalar(f"{_cut(fault.node.text)}: {fault.reason}")
        named = pc.binary_join_element_wise(sentence, pc.binary_join_element_wise(" (", values, ")", ""), "")
        reasons.append(pc.if_else(pc.equal(values, ""), sentence, named))
    order = pc.sort_indices(pa.concat_arrays(rows))
    return tuple(pa.concat_arrays(part).take(order) for part in (rows, reasons, operands))


def _values(node: Node, records: pa.RecordBatch, hidden: frozenset[str]) -> pa.Array:
    """The columns of a node and their values, as text."""
    names = dict.fromkeys(part.name for part in walk(node) if isinstance(part, Column))
    shown = [pc.binary_join_element_wise(f"{name} = ", _shown(records, name, hidden), "") for name in names]
    if not shown:
        return pa.array([""] * records.num_rows, pa.string())
    return shown[0] if len(shown) == 1 else pc.binary_join_element_wise(*shown, ", ")


def _shown(records: pa.RecordBatch, name: str, hidden: frozenset[str]) -> pa.Array:
    if name in hidden:
        return pa.array(["***"] * records.num_rows, pa.string())
    values = records.column(name)
    try:
        text = pc.cast(values, pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.array(["..."] * records.num_rows, pa.string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        text = pc.binary_join_element_wise("'", pc.utf8_slice_codeunits(text, 0, _LONGEST), "'", "")
    return pc.fill_null(text, "null")


def example(error: ConfigError, records: pa.RecordBatch, origin: Origin, hidden: frozenset[str]) -> str:
    """The first row that has values where types do not go together; nothing for other errors."""
    node = getattr(error, "node", None)
    if node is None or not records.num_rows:
        return ""
    names = dict.fromkeys(part.name for part in walk(node) if isinstance(part, Column))
    present = [pc.is_valid(records.column(name)) for name in names if name in records.schema.names]
    rows = pc.indices_nonzero(pc.and_(*present) if len(present) == 2 else present[0]) if present else []
    if not len(rows):
        return ""
    first = pc.cast(rows[:1], pa.int64())
    values = _values(node, records.take(first), hidden)[0].as_py()
    return f" ({values} at {origin.source}:{origin.at(first)[0].as_py()})"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
