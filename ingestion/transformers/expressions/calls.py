"""How functions and casts become stages."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import polars as pl
import pyarrow as pa

from ingestion.parsing import expectation, type_name
from ingestion.transformers.expressions.casts import cast_type
from ingestion.transformers.expressions.compiling import Compiler, Misfit, Ref
from ingestion.transformers.expressions.functions import FUNCTIONS
from ingestion.transformers.expressions.kinds import Kind, shown
from ingestion.transformers.expressions.nodes import Call, Cast, Extract, Value
from ingestion.transformers.expressions.stages import Calculated, Converted, Read

__all__ = ["call", "cast", "extract"]

_WIDEST = 38
_DATED: tuple[Kind, ...] = ("date", "timestamp", "timestamptz")
_CLOCK = ("HOUR", "MINUTE", "SECOND")
_MOMENT = datetime(2024, 1, 31, tzinfo=timezone.utc)
_CLOCK_KINDS: tuple[Kind, ...] = ("timestamp", "timestamptz", "time")
_AS_IF: Mapping[str, Kind] = {"n": "number", "s": "text", "d": "timestamp"}
_LETTERS: Mapping[str, tuple[str, tuple[Kind, ...]]] = {
    "n": ("a number", ("number",)),
    "s": ("a text", ("text",)),
    "d": ("a date or timestamp", _DATED),
    "a": ("a plain value", ("number", "text", "boolean", *_DATED, "time")),
}


def cast(made: Compiler, node: Cast, guard: str | None) -> Ref:
    """A value in another type: of texts as `types` reads them, of numbers without what stands behind the point."""
    of = made.ref(node.of, guard)
    dtype = cast_type(node.to)
    target = pl.Series(pl.from_arrow(pa.array([], dtype))).dtype
    source = made.name(of)
    if of.kind == "text" and dtype != pa.string():
        return made.add(node, lambda name: Read(name, node, guard, source, dtype, node.strict))
    allowed: dict[str, tuple[str, ...]] = {
        "number": ("int", "long", "float", "double", "decimal", "string"),
        "boolean": ("boolean", "int", "long", "string"),
        "date": ("date", "timestamp", "string"),
        "timestamp": ("date", "timestamp", "string"),
        "timestamptz": ("timestamptz", "string"),
        "time": ("time", "string"),
        "text": ("string",),
        "null": ("int", "long", "float", "double", "decimal", "string", "boolean", "date", "timestamp", "time"),
    }
    if type_name(dtype).partition("(")[0] not in allowed.get(of.kind, ()):
        raise Misfit(node, f"{node.text!r}: {shown(of.dtype)} does not become {type_name(dtype)}")
    values = pl.col(source)
    if of.dtype.is_float() and isinstance(target, pl.Decimal):  # else one value costs the batch
        most = 10 ** (dtype.precision - dtype.scale)
        values = pl.when(values.round(dtype.scale).abs() < most).then(values)
    result = values.cast(target, strict=False)
    expected = expectation(dtype)
    return made.add(node, lambda name: Converted(name, node, guard, source, result, expected, node.strict))


def extract(made: Compiler, node: Extract, guard: str | None) -> Ref:
    """A part of a date or time, as a long; EPOCH as a double."""
    of = made.ref(node.of, guard)
    if of.kind not in ("null", *_DATED) and not (of.kind == "time" and node.part in _CLOCK):
        raise Misfit(node, f"{of.node.text!r} is {shown(of.dtype)}, which has no {node.part.lower()}")
    if of.kind == "date" and node.part in _CLOCK:
        raise Misfit(node, f"{of.node.text!r} is a date, which has no {node.part.lower()}")
    moment = f"CAST({of.sql} AS TIMESTAMP)" if of.kind in ("date", "null") else of.sql
    return made.plain(node, f"EXTRACT({node.part} FROM {moment})")


def call(made: Compiler, node: Call, guard: str | None) -> Ref:
    """A function from the list."""
    function = FUNCTIONS[node.name]
    if node.name == "COALESCE":
        return _coalesce(made, node, guard)
    refs = [made.ref(argument, guard) for argument in node.arguments]
    if function.same:
        refs = made.harmonised(node, refs)
    if node.name in ("GREATEST", "LEAST"):
        refs = made.as_decimals(refs, [guard] * len(refs))
    texts = [_argument(made, node, index, ref) for index, ref in enumerate(refs)]
    if node.name == "STRFTIME":
        _check_format(node, refs[0].dtype)
    text = f"{node.name}({', '.join(texts)})"
    names = tuple(ref.name for ref in refs if ref.name is not None)
    if function.rounds:
        return _rounded(made, node, refs, guard)
    if function.negates and refs[0].dtype.is_integer():
        wide = pl.col(made.name(refs[0])).cast(pl.Int128).abs().cast(pl.Int64, strict=False)
        source = made.name(refs[0])
        return made.add(node, lambda name: Converted(name, node, guard, source, wide, "within 64 bits", strict=True))
    if function.finite:
        return made.add(node, lambda name: Calculated(name, node, guard, pl.sql_expr(text), names))
    if node.name == "GREATEST" and any(ref.dtype.is_float() for ref in refs):
        return made.plain(node, _greatest(refs))
    if function.filled:
        text = f"CASE WHEN {texts[0]} IS NOT NULL THEN {text} END"
    return made.plain(node, text)


def _greatest(refs: Sequence[Ref]) -> pl.Expr:
    """Comparisons of polars put NaN above all numbers, its maximum below them."""
    exprs = [pl.sql_expr(ref.sql) for ref in refs]
    beyond = [expr.is_nan() for expr, ref in zip(exprs, refs, strict=True) if ref.dtype.is_float()]
    return pl.when(pl.any_horizontal(beyond)).then(float("nan")).otherwise(pl.max_horizontal(exprs))


def _rounded(made: Compiler, node: Call, refs: Sequence[Ref], guard: str | None) -> Ref:
    """A number without some of its digits; ROUND takes halves away from zero."""
    digits = int(refs[1].node.text) if len(refs) > 1 else 0
    of = refs[0]
    if isinstance(of.dtype, pl.Decimal) and of.dtype.precision == _WIDEST:  # else one value costs the batch
        source = made.name(of)
        fits = pl.col(source).cast(pl.Float64).abs() < 0.99 * 10.0 ** (_WIDEST - of.dtype.scale)
        fitting = made.plain(node, pl.when(fits).then(pl.col(source)))
        result = _rounding(node.name, fitting.sql, digits)
        return made.add(node, lambda name: Converted(name, node, guard, source, result, "of 38 digits", strict=True))
    return made.plain(node, _rounding(node.name, _argument(made, node, 0, of), digits))


def _rounding(name: str, text: str, digits: int) -> pl.Expr:
    if name == "ROUND":
        return pl.sql_expr(text).round(digits, mode="half_away_from_zero")
    return pl.sql_expr(f"{name}({text})")


def _coalesce(made: Compiler, node: Call, guard: str | None) -> Ref:
    """What stands behind a value is not asked."""
    refs, guards = [], []
    last = made.last_fallible(node.arguments, [node])
    for index, argument in enumerate(node.arguments):
        guards.append(guard)
        refs.append(made.ref(argument, guard))
        if index < last:
            guard = made.guarded(guard, pl.sql_expr(refs[-1].sql).is_null())
    texts = [ref.sql for ref in made.as_decimals(made.harmonised(node, refs), guards)]
    return made.plain(node, f"COALESCE({', '.join(texts)})" if len(texts) > 1 else texts[0])


def _argument(made: Compiler, node: Call, index: int, ref: Ref) -> str:
    takes = FUNCTIONS[node.name].takes
    letter = takes[min(index, len(takes) - 1)].lower()
    label, kinds = _LETTERS[letter]
    if letter == "d" and node.name in _CLOCK:
        label, kinds = "a time or timestamp", _CLOCK_KINDS
    if ref.kind not in (*kinds, "null"):
        raise Misfit(node, f"{node.name} takes {label} where {ref.node.text!r} is {shown(ref.dtype)}")
    if letter == "a" and not FUNCTIONS[node.name].same:
        return f"CAST({ref.sql} AS VARCHAR)"
    if FUNCTIONS[node.name].finite:
        return f"CAST({ref.sql} AS DOUBLE)"
    return made.typed(ref, _AS_IF.get(letter, "null"))


def _check_format(node: Call, dtype: pl.DataType) -> None:
    spelled = node.arguments[1]
    assert isinstance(spelled, Value)  # noqa: S101 - the grammar takes nothing else there
    sample = pl.Series([_MOMENT]).cast(dtype if not isinstance(dtype, pl.Null) else pl.Datetime("us"))
    try:
        sample.dt.strftime(spelled.value)
    except pl.exceptions.PolarsError as error:
        raise Misfit(node, f"{spelled.text} is no format of a {shown(dtype)}; write it as '%Y-%m-%d'") from error
