"""The words of SQL that a query may use, or may not."""

__all__ = [
    "BEFORE_PARENTHESES",
    "CASTS",
    "CHANGING",
    "FUNCTIONS",
    "JOINING",
    "REFUSED",
    "ROW_BY_ROW",
    "SIGNS",
    "TIMES",
    "TOGETHER",
    "TYPES",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.upper().split())


ROW_BY_ROW = _words(
    """
    abs acos acosd asin asind atan atan2 atan2d atand cbrt ceil ceiling cos cosd cot cotd degrees erf exp floor ln
    log log10 log1p log2 mod pi pow power radians round sign sin sind sqrt tan tand trunc bit_count
    bit_length char_length character_length concat concat_ws ends_with initcap left length lower lpad ltrim
    octet_length regexp_like regexp_replace replace reverse right rpad rtrim split_part starts_with string_to_array
    strpos substr substring trim upper position
    date_part date_trunc day dayofmonth dayofweek dayofyear extract hour minute month quarter second
    strftime strptime week year
    cast try_cast coalesce greatest if ifnull least nullif
    array_contains array_get array_length array_lower array_mean array_reverse array_sum array_to_string array_unique
    array_upper
    """
)
"""Functions whose result for a row depends on that row alone."""

FUNCTIONS = ROW_BY_ROW | _words(
    """
    approx_quantile array_agg avg bit_and bit_or bit_xor corr count covar covar_pop covar_samp first last max median min
    quantile_cont quantile_disc stddev stddev_samp stdev stdev_samp string_agg sum var var_samp variance
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
    """
)
"""All functions."""

TOGETHER = _words(
    """
    distinct except exists fetch group having intersect join limit minus offset order over qualify top union window with
    """
)
"""Words whose result depends on which rows are seen together."""

BEFORE_PARENTHESES = _words(
    """
    all and any as between by case columns distinct else except exclude exists filter from having ilike in intersect is
    join like limit not offset on or order over partition qualify rename replace select some then union using when where
    bigint char decimal double float int integer numeric real smallint varchar
    """
)
"""Words that may stand before a parenthesis and are no function."""

JOINING = _words("and or when xor")
"""Words that join one expression to another."""

SIGNS = frozenset("+-*/%<>=!|&^~:")
"""Signs that do so."""

CASTS = _words("cast try_cast")
"""Functions that change the type."""

TYPES = _words(
    """
    bigint binary blob bool boolean bytea char decimal double float int int2 int4 int8 integer numeric real smallint
    string text tinyint varbinary varchar
    """
)
"""Types that a value of any type is cast to in one way."""

TIMES = _words("date_trunc strptime")
"""Functions that give a time, and refuse what is none."""

CHANGING = _words("current_date current_time current_timestamp localtime localtimestamp now")
"""Words for the time of the run."""

REFUSED = _words("delete insert into lateral merge recursive table tablesample truncate unnest update values")
"""Words of other statements, and of tables that are not the job's."""
