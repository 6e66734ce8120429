"""How values of SQLite files follow each other, each of which has a type of its own."""

__all__ = ["DATE", "NOT_A_NUMBER", "NOT_A_TEXT", "TIME"]

NOT_A_NUMBER = "typeof({}) IN ('text', 'blob')"
"""True of values that follow all numbers, whatever they say."""

NOT_A_TEXT = "typeof({}) IN ('integer', 'real', 'blob')"
"""True of values that come before or after all texts, whatever they say."""

_IN_UTC = "replace(replace(replace(replace({}, 'Z', ''), 'z', ''), '+00:00', ''), '+0000', '')"
_BARE = f"trim(replace({_IN_UTC}, 'T', ' '))"
# What has no seconds is written at some time of that minute, what has no time at some time of that day.
_FILLED = (
    f"substr({_BARE} || substr(CASE WHEN length({_BARE}) < 19 THEN '0000-00-00 23:59:59.999999' "
    f"ELSE '0000-00-00 00:00:00.000000' END, length({_BARE}) + 1), 1, 26)"
)
_MOVED = "strftime('%Y-%m-%d %H:%M:%f', {}) || '000'"
_IS_DATE = (
    "typeof({}) = 'text' AND {} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND substr({}, 1, 4) > '0000' "
    "AND date(substr({}, 1, 10)) = substr({}, 1, 10)"
)
_IS_TIME = "julianday({}) IS NOT NULL AND substr({}, 12, 2) < '24'"

TIME = (
    f"CASE WHEN {_IS_DATE} AND {_IS_TIME} THEN CASE WHEN substr({_BARE}, 11) NOT GLOB '*[-+]*' THEN {_FILLED} "
    f"WHEN substr({_BARE}, 17, 1) = ':' THEN {_MOVED} END END"
)
"""A text of one length: times with a blank or T, any digits of a second, and an offset or none; null for others."""

DATE = f"CASE WHEN {_IS_DATE} THEN substr({{}}, 1, 10) END"
"""A text of one length, null for values that are no dates."""
