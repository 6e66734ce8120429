"""Values that are written out in statements: nothing breaks out of them, and columns keep their indexes."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import select
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql, sqlite

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.literals import compiled, value
from ingestion.errors import ConfigError

DIALECTS = {"mssql": mssql, "mysql": mysql, "oracle": oracle, "postgresql": postgresql, "sqlite": sqlite}
ZONED = datetime(2024, 2, 1, 10, 0, 0, 120_000, timezone(timedelta(hours=1)))
LOCAL = datetime.fromisoformat("2024-02-01T10:00:00")
FINE = datetime.fromisoformat("2024-02-01T10:00:00.123456")
TEXTS = [
    "",
    "O'Brien",
    "\\",
    "\\'",
    "'; DROP TABLE x; --",
    "%s :name ? %%",
    "Å 🦆",
    "a\nb\r\t\x1a",
    '"',
    "`",
    "{}",
    "$$",
]


def written(item: Any, kind: str) -> str:
    """*item* as a statement of that kind of database has it."""
    statement = compiled(select(value(item)), DIALECTS[kind].dialect(paramstyle="named"))
    return statement.removeprefix("SELECT ").partition(" AS ")[0]


@pytest.mark.parametrize(
    ("kind", "item", "expected"),
    [
        ("mssql", "a'b", "'a''b'"),
        ("mssql", "Å", "N'Å'"),
        ("mssql", LOCAL, "'2024-02-01T10:00:00.000'"),  # which a datetime takes
        ("mssql", FINE, "'2024-02-01T10:00:00.123456'"),
        ("mssql", ZONED, "'2024-02-01T10:00:00.120+01:00'"),
        ("mssql", date(999, 2, 1), "'09990201'"),
        ("mssql", b"\x00\xff", "0x00ff"),
        ("mssql", True, "1"),
        ("oracle", "a'b", "'a''b'"),
        ("oracle", LOCAL, "TO_DATE('2024-02-01 10:00:00', 'YYYY-MM-DD HH24:MI:SS')"),
        ("oracle", FINE, "TIMESTAMP '2024-02-01 10:00:00.123456'"),
        ("oracle", ZONED, "TIMESTAMP '2024-02-01 10:00:00.120000+01:00'"),
        ("oracle", date(999, 2, 1), "DATE '0999-02-01'"),
        ("oracle", b"\x00\xff", "HEXTORAW('00ff')"),
        ("oracle", -5, "(-5)"),
        ("postgresql", -5, "(-5)"),
        ("postgresql", True, "TRUE"),
        ("sqlite", Decimal("1E-7"), "0.0000001"),
        ("sqlite", -1.5, "(-1.5)"),
        ("mysql", None, "NULL"),
    ],
)
def test_a_value_is_written_as_its_database_reads_it(kind, item, expected):
    assert written(item, kind) == expected


@pytest.mark.parametrize("kind", ["mssql", "oracle"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_no_quote_that_is_not_doubled(kind, text):
    literal = written(text, kind).removeprefix("N")
    assert (literal[0], literal[-1]) == ("'", "'")
    assert literal[1:-1].replace("''", "") == text.replace("'", "")
    assert literal[1:-1].replace("''", "'") == text


@pytest.mark.parametrize(
    ("kind", "fixture"), [("postgresql", "postgres_url"), ("mysql", "mysql_url"), ("sqlite", None)]
)
def test_texts_come_back_as_they_went(kind, fixture, request, tmp_path):
    if fixture is None:
        import sqlite3

        sqlite3.connect(tmp_path / "x.db").close()
        address = {"database": str(tmp_path / "x.db")}
    else:
        address = {"connection_string": request.getfixturevalue(fixture)}
    names = {f"t{number}": text for number, text in enumerate(TEXTS)}
    query = "SELECT " + ", ".join(
        f"CAST(:{name} AS {'char' if kind == 'mysql' else 'text'}) AS {name}" for name in names
    )
    source = ConnectorFactory.create({"type": kind, **address, "query": query, "query_params": names})
    [row] = pa.Table.from_batches([batch.records for batch in source.read(None, None)]).to_pylist()
    assert row == names


NO_LITERALS = [float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity"), [1]]
WITHOUT_NUL = [kind for kind in DIALECTS if kind != "mysql"]  # whose literals are hexadecimal


@pytest.mark.parametrize(("kind", "item"), [*product(DIALECTS, NO_LITERALS), *((kind, "a\0b") for kind in WITHOUT_NUL)])
def test_what_no_literal_is_of_is_refused(kind, item):
    with pytest.raises(ConfigError, match="cannot stand in a statement"):
        written(item, kind)
