"""From what an expression is made of to a program for one schema; every type is settled by that schema alone."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.transformers.expressions import literals
from ingestion.transformers.expressions.casts import cast_type
from ingestion.transformers.expressions.functions import FUNCTIONS
from ingestion.transformers.expressions.kinds import Kind, comparable, kind_of, shown
from ingestion.transformers.expressions.nodes import Call, Case, Cast, Column, Field, Node, Operation, Value, walk
from ingestion.transformers.expressions.program import framed
from ingestion.transformers.expressions.stages import Converted, Plain, Stage

__all__ = ["Compiler", "Misfit", "Ref"]

_ARITHMETIC = ("+", "-", "*", "/", "//", "%")
_CASTS: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}


class Misfit(ConfigError):
    """A part of an expression whose types do not go together."""

    def __init__(self, node: Node, text: str) -> None:
        super().__init__(text)
        self.node = node


class Ref(NamedTuple):
    """Where the values of a node are: a column of the frame, or a literal."""

    node: Node
    sql: str
    dtype: pl.DataType
    name: str | None = None  # of the column

    @property
    def kind(self) -> Kind:
        """What may be done with the values."""
        return kind_of(self.dtype)


class Compiler:
    """Collects stages; each is tried at once on a frame without rows, which tells its type."""

    def __init__(self, root: Node, schema: pa.Schema, zone: str | None = None) -> None:
        self._zone = zone
        names = {node.name: node.text for node in walk(root) if isinstance(node, Column)}
        for name, written in names.items():
            if name not in schema.names:
                hint = nearest(name, schema.names, "it has")
                text = f"; a text stands in single quotes: {literals.quoted(name)}" if written[:1] == '"' else ""
                raise ConfigError(f"there is no column {name!r}; {hint}{text}")
        self.columns = {name: f"c{index}" for index, name in enumerate(names)}
        self.stages: list[Stage] = []
        for name in names:
            if not _fits(schema.field(name).type):
                raise ConfigError(
                    f"column {name!r} is of type {schema.field(name).type}, which expressions cannot hold; "
                    "name it in transformer.types"
                )
        self.frame = framed(pa.RecordBatch.from_pylist([], schema), self.columns)
        decimals = [dtype for dtype in self.frame.dtypes if isinstance(dtype, pl.Decimal)]
        casts = [cast_type(part.to) for part in walk(root) if isinstance(part, Cast)]
        self.exact = bool(decimals) or any(map(pa.types.is_decimal, casts))
        self._known: dict[tuple[Node, str | None], Ref] = {}
        self._count = 0

    def ref(self, node: Node, guard: str | None = None) -> Ref:
        """The values of *node*, which count where the column *guard* is true."""
        key = (node, guard)
        if key not in self._known:
            self._known[key] = self._made(node, guard)
        return self._known[key]._replace(node=node)

    def _made(self, node: Node, guard: str | None) -> Ref:
        if isinstance(node, Column):
            name = self.columns[node.name]
            return Ref(node, f'"{name}"', self.frame.schema[name], name)
        if isinstance(node, Value):
            text = literals.sql(node, exact=self.exact)
            if node.kind == "interval":  # one of months has a length only beside a date
                return Ref(node, text, pl.Duration("us"))
            return Ref(node, text, self.frame.select(pl.sql_expr(text).alias("v")).dtypes[0])
        if isinstance(node, Field):
            return self._field(node, self.ref(node.of, guard))
        from ingestion.transformers.expressions.operators import OPERATORS  # it needs this module

        return OPERATORS[type(node)](self, node, guard)

    def _field(self, node: Field, of: Ref) -> Ref:
        fields = [field.name for field in of.dtype.fields] if isinstance(of.dtype, pl.Struct) else None
        if fields is None or of.name is None:
            raise Misfit(node, f"{of.node.text!r} is {shown(of.dtype)}, which has no field {node.name!r}")
        if node.name not in fields:
            raise Misfit(node, f"{of.node.text!r} has no field {node.name!r}; {nearest(node.name, fields, 'it has')}")
        return self.plain(node, pl.col(of.name).struct.field(node.name))

    def plain(self, node: Node, result: pl.Expr | str) -> Ref:
        """A column that has a value for every row; small integers become longs."""
        expr = pl.sql_expr(result) if isinstance(result, str) else result
        dtype = self.frame.select(expr.alias("v")).dtypes[0]
        if dtype.is_integer() and not isinstance(node, Field):
            expr = expr.cast(pl.Int64)
        return self.add(node, lambda name: Plain(name, expr))

    def add(self, node: Node, stage: Callable[[str], Stage]) -> Ref:
        """The column that a stage adds."""
        made = stage(f"t{self._count}")
        self._count += 1
        self.frame, _ = made.run(self.frame)
        self.stages.append(made)
        return Ref(node, f'"{made.name}"', self.frame.schema[made.name], made.name)

    def name(self, ref: Ref) -> str:
        """The column of *ref*; a literal gets one."""
        if ref.name is not None:
            return ref.name
        expr = pl.sql_expr(ref.sql)
        expr = expr.cast(pl.Int64) if ref.dtype.is_integer() else expr
        return self.add(ref.node, lambda name: Plain(name, expr)).name or ""

    def condition(self, node: Node, guard: str | None = None) -> Ref:
        """The values of a condition as booleans."""
        found = self.ref(node, guard)
        if found.kind == "null":
            return self.plain(node, pl.lit(None, dtype=pl.Boolean))
        if found.kind != "boolean":
            raise Misfit(node, f"{node.text!r} is {shown(found.dtype)}, not a condition; compare it with something")
        return found

    def guarded(self, guard: str | None, condition: pl.Expr) -> str:
        """The name of a column that is true where both hold."""
        both = condition if guard is None else pl.col(guard) & condition
        return self.plain(Value("", "boolean"), both).name or ""

    def harmonised(self, node: Node, refs: Iterable[Ref]) -> list[Ref]:
        """The same, with texts beside dates read as dates; raises Misfit where types do not go together."""
        refs = list(refs)
        zoned = any(ref.kind == "timestamptz" for ref in refs)
        dated = "timestamptz" if zoned else next((ref.kind for ref in refs if ref.kind in ("date", "timestamp")), None)
        if dated is not None:
            refs = [self._dated(ref, dated) for ref in refs]
        for ref in refs:
            if isinstance(ref.node, Value) and ref.kind == "interval" and re.search("month|year", ref.node.value):
                raise Misfit(
                    node, f"{ref.node.text} is no fixed length of time; write it in days, as INTERVAL '30 day'"
                )
        first = next((ref for ref in refs if ref.kind != "null"), None)
        for ref in refs:
            if ref.kind == "other" or (first is not None and not comparable(first.kind, ref.kind)):
                one, other = (first, ref) if first is not None and ref is not first else (ref, ref)
                raise Misfit(
                    node,
                    f"{node.text!r} puts {shown(one.dtype)} ({one.node.text}) beside {shown(other.dtype)} "
                    f"({other.node.text}); CAST one of them, or name the column in transformer.types",
                )
        return refs

    def as_decimals(self, refs: Sequence[Ref], guards: Sequence[str | None]) -> list[Ref]:
        """The same, numbers beside decimals in the type that holds both; one of them alone would cost the batch."""
        dtypes = [ref.dtype for ref in refs if ref.kind == "number"]
        if any(dtype.is_float() for dtype in dtypes) or not any(isinstance(dtype, pl.Decimal) for dtype in dtypes):
            return list(refs)
        both = f"COALESCE({', '.join(ref.sql for ref in refs)})" if len(refs) > 1 else refs[0].sql
        target = self.frame.select(pl.sql_expr(both).alias("v")).dtypes[0]
        pairs = zip(refs, guards, strict=True)
        return [self._as(ref, target, guard) if ref.kind == "number" else ref for ref, guard in pairs]

    def _as(self, ref: Ref, target: pl.DataType, guard: str | None) -> Ref:
        if ref.dtype == target:
            return ref
        source, node = self.name(ref), ref.node
        result = pl.col(source).cast(target, strict=False)
        return self.add(
            node, lambda name: Converted(name, node, guard, source, result, f"a {shown(target)}", strict=True)
        )

    def fallible(self, node: Node) -> bool:
        """Whether a row may have no result there."""
        return any(_fallible(part, exact=self.exact) for part in walk(node))

    def last_fallible(self, nodes: Sequence[Node], within: Sequence[Node] = ()) -> int:
        """The place of the last of *nodes* for which a row may have no result; -1 where there is none.

        What they stand *within* may have none because of any of them.
        """
        if any(_fallible(part, exact=self.exact) for part in within):
            return len(nodes) - 1
        return max((index for index, node in enumerate(nodes) if self.fallible(node)), default=-1)

    def _dated(self, ref: Ref, kind: Kind) -> Ref:
        read = ("text", "date", "timestamp") if kind == "timestamptz" else ("text",)
        if not isinstance(ref.node, Value) or ref.node.kind not in read:
            return ref
        text = literals.as_kind(ref.node, kind, self._zone)
        if text is None:
            advice = literals.advice(kind, self._zone)
            raise Misfit(ref.node, f"{ref.node.text} stands beside a {kind} and is none; {advice}")
        return Ref(ref.node, text, self.frame.select(pl.sql_expr(text).alias("v")).dtypes[0])

    def typed(self, ref: Ref, kind: Kind) -> str:
        """The values in SQL, those of a column without values yet as if it had such of that *kind*."""
        return f"CAST({ref.sql} AS {_CASTS[kind]})" if ref.kind == "null" and kind in _CASTS else ref.sql


def _fits(dtype: pa.DataType) -> bool:
    """Whether polars has the type; some it meets with a panic."""
    if pa.types.is_nested(dtype):
        views = pa.types.is_list_view(dtype) or pa.types.is_large_list_view(dtype)
        return not views and all(_fits(dtype.field(place).type) for place in range(dtype.num_fields))
    return not pa.types.is_decimal256(dtype)


def _fallible(part: Node, *, exact: bool) -> bool:
    if isinstance(part, Call):
        function = FUNCTIONS[part.name]
        return function.fallible or (exact and function.same)
    if isinstance(part, Operation):
        return part.operator in _ARITHMETIC
    return (isinstance(part, Cast) and part.strict) or (exact and isinstance(part, Case))
