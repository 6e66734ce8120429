"""The rule that no two rows of a load have the same value."""

from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.keyed.digests import is_keyable
from ingestion.keyed.disk import waiting_on_disk
from ingestion.keyed.kinds import KeyKinds
from ingestion.keyed.seen import SeenKeys
from ingestion.parsing import type_name
from ingestion.transformers.validation.shape import Judge, Rule, Site

__all__ = ["Unique"]

_MEMORY = 64 << 20  # bytes of keys before they go to disk


class Unique(Rule):
    """Asks for a value that no row before had."""

    many: ClassVar[bool] = False
    among_rows: ClassVar[bool] = True

    rule: Literal["unique"] = "unique"
    """No row before in this load has the value, or the same values in all of columns; a row without one of them
    passes. The first row with a value keeps the rule."""
    demand: ClassVar[str] = "is unique within a load"

    def judge(self, columns: tuple[str, ...], site: Site) -> Judge:
        """What remembers the values of a run."""
        return _Repetition(columns, site)


class _Repetition(Judge):
    def __init__(self, columns: tuple[str, ...], site: Site) -> None:
        self._columns = list(columns)
        self._site = site
        self._seen = SeenKeys(_MEMORY)
        self._kinds = KeyKinds(f"{site.key}: the rule unique")

    def broken(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        keys = rows.select(self._columns)
        if any(pa.types.is_null(field.type) for field in keys.schema):
            return pa.repeat(pa.scalar(value=False), rows.num_rows)
        for field in keys.schema:
            if not is_keyable(field.type):
                text = f"unique compares plain values, and column {field.name!r} is {type_name(field.type)}"
                raise ConfigError(f"{self._site.key}: {text}; take it out")
        self._kinds.agree(keys.schema)
        whole = pc.is_valid(keys.column(0))
        for values in keys.columns[1:]:
            whole = pc.and_(whole, pc.is_valid(values))
        if pc.all(whole).as_py() is not False:
            return self._again(keys)
        again = self._again(keys.filter(whole))
        return pc.replace_with_mask(pa.repeat(pa.scalar(value=False), rows.num_rows), whole, again)

    def reasons(self, rows: pa.RecordBatch) -> str:
        del rows
        return "came before in this load" if len(self._columns) == 1 else "came before together in this load"

    def _again(self, keys: pa.RecordBatch) -> pa.BooleanArray:
        with waiting_on_disk(f"{self._site.key}: the rule unique"):
            return pc.invert(self._seen.fresh(keys))

    def close(self) -> None:
        self._seen.close()
