"""Write docs/database_types.md from the connectors' own tables; `--check` only says whether it is up to date."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.mssql import types as mssql
from ingestion.connectors.databases.mysql import types as mysql
from ingestion.connectors.databases.oracle import types as oracle
from ingestion.connectors.databases.postgresql import types as postgresql
from ingestion.connectors.databases.sqlite import types as sqlite

PAGE = Path(__file__).parent.parent / "docs" / "database_types.md"
HEAD = """# What the types of databases become

Types of the database on the left, Arrow's on the right: Iceberg, Delta and PostgreSQL have each of them under a name of
their own. This page is written by `make docs` from the tables that the connectors work with; `ingestion check JOB` says
the same of the columns of one job. A value that does not fit goes to quarantine, with its text and the reason. Times
outside the years 1 to 9999 do not fit, and neither do numbers of more than 38 digits. A column that the target table,
or a transformer, has as text is read as text.
"""
_SPELLED = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bpchar": "char(n)",
    "char": '"char"',
}

_WORDS = ("a ", "an ", "any ", "none")


def page() -> str:
    """The whole page."""
    tables = {
        "PostgreSQL": _of_postgresql(),
        "MySQL and MariaDB": _of_mysql(),
        "SQLite": _of_sqlite(),
        "Oracle": _of_oracle(),
        "SQL Server": _of_mssql(),
    }
    parts = [HEAD]
    for title, columns in tables.items():
        parts += [f"## {title}\n", *_table(columns)]
    return "\n".join(parts).rstrip() + "\n"


def _table(columns: Iterable[Column]) -> Iterator[str]:
    """Types that become the same in one row."""
    rows: dict[tuple[str, str], dict[str, None]] = {}
    for column in columns:
        words = column.declared if column.declared.startswith(_WORDS) else f"`{column.declared}`"
        rows.setdefault((str(column.dtype), column.note), {})[words] = None
    yield "| type | becomes | |"
    yield "|---|---|---|"
    for (dtype, note), declared in rows.items():
        yield f"| {', '.join(declared)} | `{dtype}` | {note} |"
    yield ""


def _of_postgresql() -> Iterator[Column]:
    of, kind = postgresql.column_of, postgresql.Type
    for name in postgresql.TYPES:
        if name == "numeric":
            yield of("", "numeric(10,2)", kind(name), (10 << 16 | 2) + 4)
        yield of("", _SPELLED.get(name, name), kind(name), -1)
    yield of("", "a composite type", kind("", "c"), -1)
    yield of("", "an enum", kind("", "e"), -1)
    yield of("", "integer[]", kind("_int4", element=kind("int4")), -1)
    yield of("", "uuid[]", kind("_uuid", element=kind("uuid")), -1)
    yield of("", "any other", kind("", "r"), -1)


def _of_mysql() -> Iterator[Column]:
    for name in mysql.TYPES:
        yield mysql.column_of("", "decimal(10,2)" if name == "decimal" else name)
    yield mysql.column_of("", "any other")


def _of_sqlite() -> Iterator[Column]:
    for kind in sqlite.TYPES:
        yield sqlite.column_of("", kind.example, kind, sqlite.Table())
        if kind.dtype is None:
            yield sqlite.column_of("", kind.example.partition("(")[0], kind, sqlite.Table())
    for classes in (["integer"], ["real"], ["blob"], ["text"]):
        yield sqlite.column_of("", f"none, {classes[0]} stored", sqlite.stored_as(classes), sqlite.Table())


def _of_oracle() -> Iterator[Column]:
    for name in oracle.TYPES:
        if name == "DB_TYPE_NUMBER":
            for precision, scale in ((9, 0), (18, 0), (20, 0), (10, 2), (0, -127), (126, -127)):
                yield oracle.column_of("", name, precision, scale)
        else:
            yield oracle.column_of("", name, None, 6)


def _of_mssql() -> Iterator[Column]:
    for name in mssql.TYPES:
        yield mssql.column_of("", name, None, 10, 2 if name in {"decimal", "numeric"} else 7)


def main() -> int:
    """Write the page, or with --check say whether it is as written."""
    if "--check" in sys.argv:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
