"""The conditions of windows, as each kind of server is sent them."""

from datetime import datetime, timezone

import pyarrow as pa
import pytest

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.clocks import Clock
from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.incremental import Incremental
from ingestion.connectors.databases.literals import compiled
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session
from ingestion.errors import ConfigError

NOW = datetime(2026, 11, 23, 10, 0, 30, 500, tzinfo=timezone.utc)
ADDRESS = {"host": "db", "username": "u", "database": "d"}
COLUMNS = [
    Column("ID", "NUMBER(9)", pa.int32()),
    Column("AT", "DATETIME", pa.timestamp("us")),
    Column("Z", "WITH TIME ZONE", pa.timestamp("us", "UTC")),
    Column("V", "rowversion", pa.binary()),
    Column("NAME", "VARCHAR(9)", pa.string()),
]


def reading(kind, clock=None, **incremental):
    """An incremental reading of a table that there need not be."""
    given = {"type": kind, **ADDRESS, "table": "T", "incremental": incremental}
    options = ConnectorFactory.create(given)
    dialect = options.server.url.get_dialect()(paramstyle="named")
    session = Session(options.server, None, clock or Clock(NOW, None))
    return Incremental(session, Relation(options, dialect), Described(COLUMNS, ["ID"]), options)


def sent(made, span):
    """What follows WHERE."""
    statement = compiled(made.relation.count(made.conditions(span)), made.relation.dialect)
    return " ".join(statement.split("WHERE")[1].split())


@pytest.mark.parametrize(
    ("kind", "column", "wanted"),
    [
        ("oracle", "AT", """"T"."AT" < TO_DATE('2026-11-23 10:59:30', 'YYYY-MM-DD HH24:MI:SS')"""),
        ("oracle", "Z", """"T"."Z" < TIMESTAMP '2026-11-23 09:59:30+00:00'"""),
        ("mssql", "AT", """[T].[AT] < '2026-11-23T10:59:30.000'"""),
        ("mssql", "Z", """[T].[Z] < '2026-11-23T09:59:30.000+00:00'"""),
        ("postgresql", "AT", """"T"."AT" < '2026-11-23 10:59:30'"""),
        ("postgresql", "Z", """"T"."Z" < '2026-11-23 09:59:30+00:00'"""),
        ("mysql", "AT", """`T`.`AT` < '2026-11-23 10:59:30'"""),
        ("mysql", "Z", """`T`.`Z` < '2026-11-23 09:59:30'"""),  # sessions are in UTC, and offsets are not MariaDB's
    ],
)
def test_ends_by_the_clock_are_sent_as_the_server_reads_times(kind, column, wanted):
    made = reading(kind, cursor_column=column, source_timezone="Europe/Stockholm")
    assert sent(made, made.since(None)) == wanted


@pytest.mark.parametrize(("kind", "quoted"), [("oracle", '"T"."{}"'), ("mssql", "[T].[{}]")])
def test_a_key_is_compared_column_by_column_and_the_cursor_first(kind, quoted):
    made = reading(kind, cursor_column="NAME", tie_breaker=["ID", "V"])
    state = {"column": "NAME", "kind": "text", "value": "é'", "key": {"ID": "7", "V": "00ff"}}
    position = made.states.position(state)
    name, key, version = (quoted.format(column) for column in ("NAME", "ID", "V"))
    text, binary = ("'é'''", "HEXTORAW('00ff')") if kind == "oracle" else ("N'é'''", "0x00ff")
    after = f"{name} >= {text} AND ({name} > {text} OR {key} > 7 OR {key} = 7 AND {version} > {binary})"
    assert compiled_after(made, position) == after
    assert made.states.position(made.states.kept(position)) == position


def compiled_after(made, position):
    statement = compiled(made.relation.count([made.ordering.after(position)]), made.relation.dialect)
    return " ".join(statement.split("WHERE")[1].split())


def test_rowversions_end_before_the_first_that_is_not_committed():
    clock = Clock(NOW, None, bytes.fromhex("00000000000007d1"))
    made = reading("mssql", clock, cursor_column="V")
    state = {"column": "V", "kind": "binary", "value": "00000000000007a0", "key": None, "table": "T"}
    span = made.since(state)
    assert sent(made, span) == "[T].[V] >= 0x00000000000007a0 AND [T].[V] < 0x00000000000007d1"
    assert made.state(span) == {**made.states.kept(span.start), "value": "00000000000007d1"}


@pytest.mark.parametrize("kind", ["oracle", "mssql"])
def test_servers_that_tell_no_zone_are_not_guessed_at(kind):
    made = reading(kind, cursor_column="AT")
    with pytest.raises(ConfigError, match=r"AT has no time zone, and .* set source\.incremental\.source_timezone"):
        made.since(None)
    assert "TIMESTAMP" in sent(reading("oracle", cursor_column="Z"), reading("oracle", cursor_column="Z").since(None))
