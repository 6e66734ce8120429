"""Values in statements: bound where the driver takes parameters, else written out as literals of the server's kind."""

import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, bindparam
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

    def literal_processor(self, dialect: "Dialect") -> Callable[[Any], str]:
        """How the value is written where it cannot be bound."""
        return lambda item: _literal(item, dialect.name)


def value(item: Any, name: str | None = None) -> BindParameter[Any]:
    """*item* as it stands in a statement."""
    return bindparam(name, item, type_=Value(), unique=name is None)


def compiled(statement: "Statement", dialect: "Dialect") -> str:
    """*statement* in the SQL of *dialect*, which needs no parameters beside it."""
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _literal(item: Any, kind: str) -> str:
    if item is None:
        return "NULL"
    if isinstance(item, bool):
        return str(item).upper() if kind == "postgresql" else str(int(item))
    if isinstance(item, int | Decimal) or (isinstance(item, float) and math.isfinite(item)):
        return f"({item})" if item < 0 else str(item)  # a minus after a minus would begin a comment
    if isinstance(item, bytes):
        return _BYTES[kind].format(item.hex())
    if isinstance(item, datetime | date | str):
        return _text(item if isinstance(item, str) else _moment(item), kind)
    raise ConfigError(f"{item!r} of type {type(item).__name__} cannot stand in a statement; give a number or a text")


def _moment(item: datetime | date) -> str:
    return item.isoformat(" ") if isinstance(item, datetime) else item.isoformat()


def _text(item: str, kind: str) -> str:
    if "\0" in item:
        raise ConfigError("a text with a NUL character cannot stand in a statement; leave that character out")
    if kind == "mysql":  # whether a backslash escapes is a setting of the session; digits need no escape
        return f"_utf8mb4 X'{item.encode().hex()}'" if item else "''"
    prefix = "N" if kind == "mssql" else ""
    return prefix + "'" + item.replace("'", "''") + "'"


_BYTES = {
    "postgresql": "'\\x{}'::bytea",
    "mysql": "X'{}'",
    "sqlite": "X'{}'",
    "mssql": "0x{}",
    "oracle": "HEXTORAW('{}')",
}
