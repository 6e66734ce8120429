"""The functions that an expression may call: each looks at one row alone and always gives the same for it."""

from typing import NamedTuple

from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.transformers.expressions.tokens import words

__all__ = ["FUNCTIONS", "MANY_ROWS", "Function", "function"]


class Function(NamedTuple):
    """What a function takes and gives.

    Each letter of *takes* is an argument: n number, s text, d date or timestamp, a anything; in capitals a literal.
    """

    takes: str
    least: int  # arguments that are needed
    rest: bool = False  # the last one may come again
    wide: bool = False  # gives a small integer, which is made a long
    finite: bool = False  # may have no finite result
    same: bool = False  # its arguments are of one kind
    negates: bool = False  # may leave the range of a long
    filled: bool = False  # polars has a value even for a null
    rounds: bool = False  # may have one digit more than the widest decimal

    @property
    def fallible(self) -> bool:
        """Whether a row may have no result."""
        return self.finite or self.negates or self.rounds


def _alike(names: str, function: Function) -> dict[str, Function]:
    return dict.fromkeys(names.split(), function)


FUNCTIONS: dict[str, Function] = {
    # numbers
    "ABS": Function("n", 1, negates=True),
    "SIGN": Function("n", 1),
    "ROUND": Function("nN", 1, rounds=True),
    **_alike("CEIL FLOOR TRUNC", Function("n", 1, rounds=True)),
    **_alike("SQRT CBRT EXP LN LOG2 LOG10", Function("n", 1, finite=True)),
    **_alike("SIN COS TAN ATAN DEGREES RADIANS", Function("n", 1, finite=True)),
    **_alike("POWER ATAN2", Function("nn", 2, finite=True)),
    "PI": Function("", 0),
    # texts
    **_alike("UPPER LOWER INITCAP TRIM REVERSE", Function("s", 1)),
    **_alike("LTRIM RTRIM", Function("sS", 1)),
    **_alike("LENGTH OCTET_LENGTH", Function("s", 1, wide=True)),
    **_alike("LEFT RIGHT", Function("sN", 2, filled=True)),
    "SUBSTR": Function("sNN", 2),
    **_alike("REPLACE REGEXP_REPLACE", Function("sSS", 3)),
    **_alike("LPAD RPAD", Function("sNS", 3)),
    **_alike("STARTS_WITH ENDS_WITH", Function("ss", 2)),
    "STRPOS": Function("sS", 2, wide=True, filled=True),
    "SPLIT_PART": Function("sSN", 3),
    "CONCAT": Function("a", 1, rest=True),
    "CONCAT_WS": Function("Sa", 2, rest=True),
    "REGEXP_LIKE": Function("sS", 2),
    # dates
    "STRFTIME": Function("dS", 2),
    **_alike("YEAR QUARTER MONTH WEEK DAY DAYOFWEEK HOUR MINUTE SECOND", Function("d", 1, wide=True)),
    # choices
    "COALESCE": Function("a", 1, rest=True, same=True),
    "NULLIF": Function("aa", 2, same=True),
    **_alike("GREATEST LEAST", Function("a", 2, rest=True, same=True)),
}
ALIASES = {
    "CEILING": "CEIL",
    "POW": "POWER",
    "TRUNCATE": "TRUNC",
    "CHAR_LENGTH": "LENGTH",
    "CHARACTER_LENGTH": "LENGTH",
    "LEN": "LENGTH",
    "SUBSTRING": "SUBSTR",
    "IFNULL": "COALESCE",
    "UCASE": "UPPER",
    "LCASE": "LOWER",
}
MANY_ROWS = words(
    "SUM AVG MEAN MIN MAX COUNT MEDIAN STDDEV STDDEV_SAMP STDDEV_POP STDEV VARIANCE VAR VAR_SAMP VAR_POP FIRST LAST "
    "QUANTILE_CONT QUANTILE_DISC CORR COVAR COVAR_POP COVAR_SAMP ARRAY_AGG STRING_AGG LISTAGG GROUP_CONCAT ROW_NUMBER "
    "RANK DENSE_RANK LAG LEAD FIRST_VALUE LAST_VALUE NTILE UNNEST EXPLODE FLATTEN ANY_VALUE"
)
_CHANGING = words("NOW RANDOM RAND UUID CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP")
_TEXT_TO_DATE = words("STRPTIME TO_DATE TO_TIMESTAMP DATE TIMESTAMP DATETIME TIME")


def function(name: str) -> tuple[str, Function]:
    """The function of that name, as polars calls it; raises ConfigError for any that is not on the list."""
    key = name.upper()
    key = ALIASES.get(key, key)
    if key in FUNCTIONS:
        return key, FUNCTIONS[key]
    if key in MANY_ROWS:
        raise ConfigError(
            f"{key} looks at more than one row, and its result would depend on how the rows are cut into batches; "
            "use a sql transformation with over: load"
        )
    if key in _CHANGING:
        raise ConfigError(f"{key} gives something else each time, so that a run could not be repeated; leave it out")
    if key in _TEXT_TO_DATE:
        raise ConfigError(
            f"{key} is no function of expressions; name the column in transformer.date_columns, "
            "or write DATE '2024-01-31'"
        )
    names = [*FUNCTIONS, *ALIASES, "IF", "CAST", "TRY_CAST", "EXTRACT"]
    raise ConfigError(f"unknown function {name!r}; {nearest(key, names, 'known functions')}")
