"""What SQLite says of the values that the expression of their column changes."""

from collections.abc import Sequence
from itertools import zip_longest

from ingestion.connectors.databases.columns import Column

__all__ = ["witness"]

_TOLD = 400  # characters of a value that does not fit
_TOGETHER = 50  # expressions nest 1000 deep, and a function takes 127 arguments


def witness(columns: Sequence[Column]) -> str | None:
    """SQL for a JSON object of texts by column; null where no value is changed."""
    from sqlalchemy.dialects import sqlite

    if not columns:
        return None
    quote = sqlite.dialect().identifier_preparer.quote_identifier
    conditions, pairs = [], []
    for column in columns:
        differs, text = (sql.replace("{}", quote(column.name)) for sql in (column.differs, column.text))
        conditions.append(f"({differs})")
        cut = f"substr({text}, 1, {_TOLD}) || CASE WHEN length({text}) > {_TOLD} THEN '...' ELSE '' END"
        pairs.append(f"'{column.name.replace(chr(39), chr(39) * 2)}', CASE WHEN {differs} THEN {cut} END")
    return f"CASE WHEN {_any(conditions)} THEN {_object(pairs)} END"


def _any(conditions: Sequence[str]) -> str:
    return " OR ".join(f"({' OR '.join(group)})" for group in _groups(conditions))


def _object(pairs: Sequence[str]) -> str:
    objects = [f"json_object({', '.join(group)})" for group in _groups(pairs)]
    while len(objects) > 1:  # by twos, as the parser's stack is short
        objects = [
            f"json_patch({one}, {other})" for one, other in zip_longest(objects[::2], objects[1::2], fillvalue="'{}'")
        ]
    return objects[0]


def _groups(items: Sequence[str]) -> list[Sequence[str]]:
    return [items[start : start + _TOGETHER] for start in range(0, len(items), _TOGETHER)]
