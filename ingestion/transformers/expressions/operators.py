"""How operators, conditions and choices become stages."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from ingestion.transformers.expressions.arithmetic import Decimals, Doubles, Moved, Wholes
from ingestion.transformers.expressions.calls import call, cast, extract
from ingestion.transformers.expressions.compiling import Compiler, Misfit, Ref
from ingestion.transformers.expressions.kinds import shown
from ingestion.transformers.expressions.literals import quoted
from ingestion.transformers.expressions.nodes import (
    All,
    Between,
    Call,
    Case,
    Cast,
    Extract,
    In,
    Is,
    Like,
    Node,
    Operation,
    Value,
)

__all__ = ["OPERATORS"]

_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
_TIMES = ("date", "timestamp", "timestamptz", "time", "interval")


def _operation(made: Compiler, node: Operation, guard: str | None) -> Ref:
    if node.operator == "NOT":
        return made.plain(node, f"NOT {made.condition(node.operands[0], guard).sql}")
    if len(node.operands) == 1:  # a minus
        zero = made.ref(Value("0", "number", "0"))
        return _calculated(made, node, "-", (zero, made.ref(node.operands[0], guard)), guard)
    left, right = (made.ref(operand, guard) for operand in node.operands)
    if node.operator in _COMPARISONS:
        left, right = made.harmonised(node, (left, right))
        return made.plain(node, f"{left.sql} {node.operator} {right.sql}")
    if node.operator == "||":
        for ref in (left, right):
            if ref.kind in ("other", "interval"):
                raise Misfit(node, f"{ref.node.text!r} is {shown(ref.dtype)}, which has no text")
        return made.plain(node, f"CAST({left.sql} AS VARCHAR) || CAST({right.sql} AS VARCHAR)")
    return _calculated(made, node, node.operator, (left, right), guard)


def _calculated(made: Compiler, node: Node, operator: str, refs: tuple[Ref, Ref], guard: str | None) -> Ref:
    left, right = refs
    kinds = {left.kind, right.kind}
    if not kinds <= {"number", "null"}:
        return _moved(made, node, operator, refs, guard)
    numbers = [ref.dtype for ref in refs if ref.kind == "number"]
    if "null" in kinds:
        whole = operator != "/" and all(dtype.is_integer() for dtype in numbers)
        return made.plain(node, pl.lit(None, dtype=pl.Int64 if whole else pl.Float64))
    one, other = made.name(left), made.name(right)
    if any(dtype.is_float() for dtype in numbers):
        return made.add(node, lambda name: Doubles(name, node, guard, operator, one, other))
    if any(isinstance(dtype, pl.Decimal) for dtype in numbers):
        dtype = made.frame.select(pl.sql_expr(f'"{one}" {operator} "{other}"').alias("v")).dtypes[0]
        scale = dtype.scale if isinstance(dtype, pl.Decimal) else 0
        return made.add(node, lambda name: Decimals(name, node, guard, operator, one, other, scale))
    kind = Doubles if operator == "/" else Wholes
    return made.add(node, lambda name: kind(name, node, guard, operator, one, other))


def _moved(made: Compiler, node: Node, operator: str, refs: tuple[Ref, Ref], guard: str | None) -> Ref:
    left, right = refs
    both = (left.kind, right.kind)
    if left.kind == "date" and right.kind == "interval" and not _whole_days(right.node):
        raise Misfit(node, f"{node.text!r}: a date has no time of day; CAST it AS timestamp")
    shifted = operator in ("+", "-") and both[0] in _TIMES[:3] and both[1] == "interval"
    apart = operator == "-" and both[0] == both[1] and both[0] in _TIMES[:3]
    if not shifted and not apart:
        text = f"{node.text!r} cannot calculate with {shown(left.dtype)} and {shown(right.dtype)}"
        advice = "join texts with ||, or make numbers of them with CAST" if "text" in both else "CAST one of them"
        raise Misfit(node, f"{text}; {advice}")
    expr = pl.sql_expr(f"{left.sql} {operator} {right.sql}")
    return made.add(node, lambda name: Moved(name, node, guard, expr))


def _whole_days(interval: Node) -> bool:
    return isinstance(interval, Value) and not any(unit in interval.value for unit in ("hour", "minute", "second"))


def _all(made: Compiler, node: All, guard: str | None) -> Ref:
    """What stands behind a condition that settles the matter is not asked."""
    settles = node.operator == "OR"
    parts: list[pl.Expr] = []
    last = made.last_fallible(node.operands)
    for index, operand in enumerate(node.operands):
        parts.append(pl.sql_expr(made.condition(operand, guard).sql))
        if index < last:
            guard = made.guarded(guard, parts[-1].ne_missing(settles))
    joined = pl.all_horizontal if node.operator == "AND" else pl.any_horizontal  # polars takes a chain of two for hours
    return made.plain(node, joined(parts))


def _is(made: Compiler, node: Is, guard: str | None) -> Ref:
    negation = "NOT " if node.negated else ""
    if node.what == "NULL":
        return made.plain(node, f"{made.ref(node.operands[0], guard).sql} IS {negation}NULL")
    if node.what in ("TRUE", "FALSE"):
        found, asked = pl.sql_expr(made.condition(node.operands[0], guard).sql), pl.lit(node.what == "TRUE")
        return made.plain(node, found.ne_missing(asked) if node.negated else found.eq_missing(asked))
    left, right = made.harmonised(node, [made.ref(operand, guard) for operand in node.operands])
    return made.plain(node, f"{left.sql} IS {negation}DISTINCT FROM {right.sql}")


def _between(made: Compiler, node: Between, guard: str | None) -> Ref:
    value, low, high = made.harmonised(node, [made.ref(operand, guard) for operand in node.operands])
    inside = f"({value.sql} >= {low.sql} AND {value.sql} <= {high.sql})"
    return made.plain(node, f"NOT {inside}" if node.negated else inside)


def _in(made: Compiler, node: In, guard: str | None) -> Ref:
    value, *options = node.operands
    if not all(isinstance(option, Value) for option in options):
        same = tuple(Operation(f"{value.text} = {option.text}", "=", (value, option)) for option in options)
        found = made.condition(same[0] if len(same) == 1 else All(node.text, "OR", same), guard)
        return made.plain(node, f"NOT {found.sql}") if node.negated else found
    first, *rest = made.harmonised(node, [made.ref(operand, guard) for operand in node.operands])
    listed = ", ".join(ref.sql for ref in rest)
    return made.plain(node, f'"{made.name(first)}" {"NOT " if node.negated else ""}IN ({listed})')


def _like(made: Compiler, node: Like, guard: str | None) -> Ref:
    of = made.ref(node.of, guard)
    if of.kind not in ("text", "null"):
        raise Misfit(
            node, f"{of.node.text!r} is {shown(of.dtype)}, and {node.operator} looks at texts; CAST it AS string"
        )
    negation = "NOT " if node.negated else ""
    return made.plain(node, f"{negation}({made.typed(of, 'text')} {node.operator} {quoted(node.pattern)})")


def _case(made: Compiler, node: Case, guard: str | None) -> Ref:
    conditions, results, guards = [], [], []
    unsure = made.fallible(node)
    for condition, result in node.whens:
        found = made.condition(condition, guard).sql
        conditions.append(found)
        met = pl.sql_expr(found).eq_missing(True)  # noqa: FBT003 - a value; IS TRUE of polars is null for a null
        guards.append(made.guarded(guard, met) if unsure else guard)
        results.append(made.ref(result, guards[-1]))
        guard = made.guarded(guard, ~met) if unsure else guard
    if node.otherwise is not None:
        guards.append(guard)
        results.append(made.ref(node.otherwise, guard))
    results = made.as_decimals(made.harmonised(node, results), guards)
    whens = " ".join(f"WHEN {c} THEN {r.sql}" for c, r in zip(conditions, results, strict=False))
    otherwise = f" ELSE {results[-1].sql}" if node.otherwise is not None else ""
    return made.plain(node, f"CASE {whens}{otherwise} END")


OPERATORS: Mapping[type[Node], Callable[[Compiler, Any, str | None], Ref]] = {
    Operation: _operation,
    All: _all,
    Is: _is,
    Between: _between,
    In: _in,
    Like: _like,
    Case: _case,
    Cast: cast,
    Extract: extract,
    Call: call,
}
