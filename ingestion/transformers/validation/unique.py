"""The rule that no two rows of a load have the same value."""

from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.keyed.seen import SeenKeys
from ingestion.transformers.validation.shape import Judge, Rule, Site

__all__ = ["Unique"]

_MEMORY = 64 << 20  # bytes of keys before they go to disk


class Unique(Rule):
    """Asks for a value that no row before had."""

    many: ClassVar[bool] = False

    rule: Literal["unique"] = "unique"
    """No row before in this load has the value, or the same values in all of columns; a row without one of them
    passes. The first row with a value keeps the rule."""
    demand: ClassVar[str] = "is unique within a load"

    def judge(self, columns: tuple[str, ...], site: Site) -> Judge:
        """What remembers the values of a run."""
        del site
        return _Repetition(columns)


class _Repetition(Judge):
    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = list(columns)
        self._seen = SeenKeys(_MEMORY)

    def broken(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        keys = rows.select(self._columns)
        if any(pa.types.is_null(field.type) for field in keys.schema):
            return pa.repeat(pa.scalar(value=False), rows.num_rows)
        whole = pc.is_valid(keys.column(0))
        for values in keys.columns[1:]:
            whole = pc.and_(whole, pc.is_valid(values))
        if pc.all(whole).as_py() is not False:
            return pc.invert(self._seen.fresh(keys))
        again = pc.invert(self._seen.fresh(keys.filter(whole)))
        return pc.replace_with_mask(pa.repeat(pa.scalar(value=False), rows.num_rows), whole, again)

    def reasons(self, rows: pa.RecordBatch) -> str:
        del rows
        return "came before in this load" if len(self._columns) == 1 else "came before together in this load"

    def close(self) -> None:
        self._seen.close()
