"""MySQL and MariaDB as sources."""

from typing import Literal

from pydantic import model_validator
from typing_extensions import Self

from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.mysql.server import Mysql
from ingestion.connectors.databases.parameters import given_by_url

__all__ = ["MysqlConnector"]

_LEVELS = ("REPEATABLE READ", "SERIALIZABLE")
_OURS = ("charset", "conv", "cursorclass", "use_unicode", "autocommit", "init_command", "sql_mode", "defer_connect")
_SAME = {"charset"}  # many URLs have it; names and texts are the same in all that hold them


class MysqlConnector(DatabaseConnector):
    """Reads a table of MySQL or MariaDB, or the result of a query."""

    type: Literal["mysql"] = "mysql"

    @model_validator(mode="after")
    def _sessions(self) -> Self:
        level = self.settled("isolation_level")
        if level is not None and level not in _LEVELS:
            raise ValueError(f"{level} shows rows as they change; write {' or '.join(_LEVELS)}, or leave it out")
        by_url = given_by_url(self) if self.settled("connection_string") is not None else {}
        given = {"connection_params": {*self.connection_params}, "connection_string": {*by_url} - _SAME}
        for option, names in given.items():
            if ours := sorted({*_OURS} & names):
                raise ValueError(f"{option}.{ours[0]} is ours to set; leave it out (see init_sql for settings)")
        if self.is_parted and self.query is not None:
            raise ValueError(
                "num_partitions needs a table: connections see one state of it by a lock, and a query names none"
            )
        if self.is_parted and level == "SERIALIZABLE":
            raise ValueError("num_partitions: several SERIALIZABLE transactions see no common state; leave one out")
        return self

    @property
    def server(self) -> Mysql:
        """MySQL or MariaDB."""
        return Mysql(self)
