"""Any expression over some columns: most can be read, and not all have a result."""

from hypothesis import strategies as st

from ingestion.transformers.expressions.functions import FUNCTIONS

__all__ = ["CONDITIONS", "EXPRESSIONS"]

_COLUMNS = {
    "n": ["n", "small", "price", "money", "n", "price"],
    "s": ["text", "amount", "flag", '"Odd Näme"', "day", "kind"],
    "d": ["at", "on", "zoned", "at"],
    "b": ["yes"],
}
_LITERALS = {
    "n": ["0", "1", "-7", "2.5", "9223372036854775807", "CAST(amount AS double)", "CAST(text AS long)", "NULL"],
    "s": ["''", "'a'", "'%'", "'1'", "CAST(n AS string)", "CAST(price AS string)"],
    "d": ["DATE '2024-01-31'", "CAST(day AS date)", "CAST(day AS timestamp)"],
    "b": ["TRUE", "yes", "CAST(flag AS boolean)"],
}
_ODD = ["ghost", "items", "point", "raw", "point.x", "NULL", "nothing", "clock"]
_KINDS = st.sampled_from("nnssdb")


def _plain(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from(_COLUMNS[kind] * 3 + _LITERALS[kind] * 2 + _ODD)


def _argument(letter: str, depth: int) -> st.SearchStrategy[str]:
    if letter.isupper():
        return st.sampled_from(["0", "1", "3", "-2"] if letter == "N" else ["'a'", "'%'", "''", "'[a-z]+'", "'%Y-%m'"])
    return _KINDS.flatmap(lambda kind: _of(kind, depth)) if letter == "a" else _of(letter, depth)


def _call(name: str, depth: int) -> st.SearchStrategy[str]:
    known = FUNCTIONS[name]
    letters = known.takes + known.takes[-1:] * (known.least - len(known.takes))
    if known.same:
        arguments = _KINDS.flatmap(lambda kind: st.tuples(*(_of(kind, depth) for _ in range(known.least))))
    else:
        arguments = st.tuples(*(_argument(letter, depth) for letter in letters))
    return arguments.map(lambda given: f"{name}({', '.join(given)})")


def _of(kind: str, depth: int) -> st.SearchStrategy[str]:
    """Expressions of numbers (n), texts (s), dates (d) or truth (b)."""
    if depth == 0:
        return _plain(kind)
    inner = {one: st.deferred(lambda one=one: _of(one, depth - 1)) for one in "nsdb"}
    calls = st.sampled_from(sorted(FUNCTIONS)).flatmap(lambda name: _call(name, depth - 1))
    pairs = {
        "n": st.tuples(inner["n"], st.sampled_from(["+", "-", "*", "/", "%"]), inner["n"]),
        "s": st.tuples(inner["s"], st.just("||"), inner["s"]),
        "d": st.tuples(inner["d"], st.sampled_from(["+", "-"]), st.just("INTERVAL '1 month'")),
        "b": st.one_of(
            _KINDS.flatmap(lambda one: st.tuples(inner[one], st.sampled_from(["=", "<>", "<", ">="]), inner[one])),
            st.tuples(inner["b"], st.sampled_from(["AND", "OR"]), inner["b"]),
            st.tuples(inner["s"], st.sampled_from(["LIKE", "~"]), st.just("'a%'")),
            st.tuples(inner["n"], st.just("IS"), st.sampled_from(["NULL", "NOT NULL"])),
        ),
    }
    choices = st.tuples(inner["b"], inner[kind], inner[kind]).map("CASE WHEN {0[0]} THEN {0[1]} ELSE {0[2]} END".format)
    return st.one_of(_plain(kind), pairs[kind].map(" ".join).map("({})".format), calls, choices)


EXPRESSIONS = _KINDS.flatmap(lambda kind: _of(kind, 2))
"""Of any kind."""
CONDITIONS = _of("b", 2) | st.just("n > 0")
"""Those that are true or false."""
