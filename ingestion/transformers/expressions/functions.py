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


FUNCTIONS: dict[str, Function] = {
    # numbers
    "ABS": Function("n", 1, negates=True),
    "CEIL": Function("n", 1, rounds=True),
    "FLOOR": Function("n", 1, rounds=True),
    "ROUND": Function("nN", 1, rounds=True),
    "TRUNC": Function("n", 1, rounds=True),
    "SIGN": Function("n", 1),
    "SQRT": Function("n", 1, finite=True),
    "CBRT": Function("n", 1, finite=True),
    "EXP": Function("n", 1, finite=True),
    "LN": Function("n", 1, finite=True),
    "LOG2": Function("n", 1, finite=True),
    "LOG10": Function("n", 1, finite=True),
    "POWER": Function("nn", 2, finite=True),
    "SIN": Function("n", 1, finite=True),
    "COS": Function("n", 1, finite=True),
    "TAN": Function("n", 1, finite=True),
    "ATAN": Function("n", 1, finite=True),
    "ATAN2": Function("nn", 2, finite=True),
    "DEGREES": Function("n", 1, finite=True),
    "RADIANS": Function("n", 1, finite=True),
    "PI": Function("", 0),
    # texts
    "UPPER": Function("s", 1),
    "LOWER": Function("s", 1),
    "INITCAP": Function("s", 1),
    "TRIM": Function("s", 1),
    "LTRIM": Function("sS", 1),
    "RTRIM": Function("sS", 1),
    "LENGTH": Function("s", 1, wide=True),
    "OCTET_LENGTH": Function("s", 1, wide=True),
    "LEFT": Function("sN", 2, filled=True),
    "RIGHT": Function("sN", 2, filled=True),
    "SUBSTR": Function("sNN", 2),
    "REPLACE": Function("sSS", 3),
    "REVERSE": Function("s", 1),
    "LPAD": Function("sNS", 3),
    "RPAD": Function("sNS", 3),
    "STARTS_WITH": Function("ss", 2),
    "ENDS_WITH": Function("ss", 2),
    "STRPOS": Function("sS", 2, wide=True, filled=True),
    "SPLIT_PART": Function("sSN", 3),
    "CONCAT": Function("a", 1, rest=True),
    "CONCAT_WS": Function("Sa", 2, rest=True),
    "REGEXP_LIKE": Function("sS", 2),
    "REGEXP_REPLACE": Function("sSS", 3),
    # dates
    "STRFTIME": Function("dS", 2),
    "YEAR": Function("d", 1, wide=True),
    "QUARTER": Function("d", 1, wide=True),
    "MONTH": Function("d", 1, wide=True),
    "WEEK": Function("d", 1, wide=True),
    "DAY": Function("d", 1, wide=True),
    "DAYOFWEEK": Function("d", 1, wide=True),
    "HOUR": Function("d", 1, wide=True),
    "MINUTE": Function("d", 1, wide=True),
    "SECOND": Function("d", 1, wide=True),
    # choices
    "COALESCE": Function("a", 1, rest=True, same=True),
    "NULLIF": Function("aa", 2, same=True),
    "GREATEST": Function("a", 2, rest=True, same=True),
    "LEAST": Function("a", 2, rest=True, same=True),
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
