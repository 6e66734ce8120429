"""Values in statements: bound where the driver takes parameters, else written out as literals of the server's kind."""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, bindparam
from sqlalchemy.exc import CompileError
from sqlalchemy.types import UserDefinedType

from ingestion.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from ingestion.connectors.databases.relation import Statement

__all__ = ["Value", "compiled", "value"]


class Value(UserDefinedType[Any]):
    """A value that the driver knows how to send, and of which `compiled` makes a literal that nothing breaks out of."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Columns of this type are never created."""
        return "TEXT"

    def bind_processor(self, dialect: "Dialect") -> Callable[[Any], Any] | None:
        """How the value is bound, where the driver's own way is not the column's."""
        return _untyped if dialect.name == "mssql" else None

    def literal_processor(self, dialect: "Dialect") -> Callable[[Any], str]:
        """How the value is written where it cannot be bound."""
        return lambda item: _literal(item, dialect.name)


def value(item: Any, name: str | None = None) -> BindParameter[Any]:
    """*item* as it stands in a statement."""
    return bindparam(name, item, type_=Value(), unique=name is None)


def compiled(statement: "Statement", dialect: "Dialect") -> str:
    """*statement* in the SQL of *dialect*, which needs no parameters beside it."""
    try:
        return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    except CompileError as error:
        raise error.__cause__ if isinstance(error.__cause__, ConfigError) else error from None


def _literal(item: Any, kind: str) -> str:
    if item is None:
        return "NULL"
    if isinstance(item, bool):
        return str(item).upper() if kind == "postgresql" else str(int(item))
    if isinstance(item, int | Decimal | float) and (digits := _digits(item)):
        return f"({digits})" if digits.startswith("-") else digits  # a minus after a minus would begin a comment
    if isinstance(item, bytes):
        return _BYTES.get(kind, _STANDARD_BYTES).format(item.hex())
    if isinstance(item, datetime | date):
        return _MOMENTS.get(kind, _iso)(item)
    if isinstance(item, str):
        return _text(item, kind)
    raise ConfigError(f"{item!r} of type {type(item).__name__} cannot stand in a statement; give a number or a text")


def _digits(item: float | Decimal) -> str:
    """The number; nothing where it is none that SQL can write."""
    if isinstance(item, Decimal):
        return f"{item:f}" if item.is_finite() else ""
    return str(item) if isinstance(item, int) or math.isfinite(item) else ""


def _iso(item: datetime | date) -> str:
    return f"'{item.isoformat(' ') if isinstance(item, datetime) else item.isoformat()}'"


def _untyped(item: Any) -> Any:
    """A time or date as a text, which SQL Server reads as the type of the column that it is compared with.

    Beside a value of a more exact type the column would be converted, to times that differ from what it holds.
    """
    if isinstance(item, datetime):
        return item.isoformat("T", "microseconds" if item.microsecond % 1000 else "milliseconds")
    # 2024-02-01 is the second of January in some languages.
    return item.isoformat().replace("-", "") if isinstance(item, date) else item


def _oracle(item: datetime | date) -> str:
    """A DATE where nothing is lost: beside a TIMESTAMP, columns that are dates would be converted, index or not."""
    if not isinstance(item, datetime):
        return f"DATE '{item.isoformat()}'"
    if item.microsecond or item.tzinfo:
        return f"TIMESTAMP '{item.isoformat(' ')}'"
    return f"TO_DATE('{item.isoformat(' ')}', 'YYYY-MM-DD HH24:MI:SS')"


def _text(item: str, kind: str) -> str:
    if kind == "mysql":  # whether a backslash escapes is a setting of the session; digits need no escape
        return f"_utf8mb4 X'{item.encode().hex()}'" if item else "''"
    if "\0" in item:
        raise ConfigError("a text with a NUL character cannot stand in a statement; leave that character out")
    # Beside national characters a column of others would be converted, index or not.
    prefix = "N" if kind == "mssql" and not item.isascii() else ""
    return prefix + "'" + item.replace("'", "''") + "'"


_MOMENTS: Mapping[str, Callable[[datetime | date], str]] = {
    "mssql": lambda item: f"'{_untyped(item)}'",
    "oracle": _oracle,
}
_STANDARD_BYTES = "X'{}'"
_BYTES = {"postgresql": "'\\x{}'::bytea", "mssql": "0x{}", "oracle": "HEXTORAW('{}')"}
