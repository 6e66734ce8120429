"""Cursors of times: which zone they are in, where clocks change, and how SQLite writes them."""
# ruff: noqa: DTZ001 - times without a zone are what this is about

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.clocks import Clock, earliest_wall_time
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session, opened
from ingestion.connectors.databases.windows import window_of
from ingestion.errors import ConfigError, DataError
from ingestion_tests.incremental_sources import Source, ago, read

UTC = timezone.utc
STOCKHOLM = ZoneInfo("Europe/Stockholm")
FORWARD = datetime(2026, 3, 29, 1, tzinfo=UTC)
BACK = datetime(2026, 10, 25, 1, tzinfo=UTC)


@pytest.fixture
def sqlite(tmp_path):
    return Source("sqlite", str(tmp_path / "source.sqlite"))


@pytest.fixture
def postgres(postgres_url):
    return Source("postgresql", postgres_url)


# the end of a window by wall clocks


@pytest.mark.parametrize(
    ("moment", "wall"),
    [
        (BACK - timedelta(minutes=61), "2026-10-25 01:59"),
        (BACK - timedelta(minutes=60), "2026-10-25 02:00"),
        (BACK - timedelta(minutes=1), "2026-10-25 02:00"),  # not 02:59, as 02:00 follows
        (BACK, "2026-10-25 02:00"),
        (BACK + timedelta(minutes=30), "2026-10-25 02:30"),
        (FORWARD - timedelta(minutes=1), "2026-03-29 01:59"),
        (FORWARD, "2026-03-29 03:00"),
    ],
)
def test_the_hour_before_clocks_go_back_ends_where_they_are_put_back_to(moment, wall):
    assert earliest_wall_time(moment, STOCKHOLM).isoformat(" ", "minutes") == wall


CHANGES = {
    "Europe/Stockholm": BACK,
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15, tzinfo=UTC),  # by half an hour
    "America/St_Johns": datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
    "Africa/Casablanca": datetime(2026, 2, 15, 2, tzinfo=UTC),  # as Ramadan begins
    "Asia/Kolkata": BACK,  # where there are none
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_no_later_moment_has_an_earlier_wall_time(name):
    zone = ZoneInfo(name)
    moments = [CHANGES[name] + timedelta(minutes=minute) for minute in range(-180, 181, 7)]
    ends = [earliest_wall_time(moment, zone) for moment in moments]
    shown = [moment.astimezone(zone).replace(tzinfo=None) for moment in moments]
    assert all(end <= min(shown[number:]) for number, end in enumerate(ends))
    assert all(one - end < timedelta(hours=1) for one, end in zip(shown, ends, strict=True))


@pytest.mark.parametrize(("change", "lookback"), [(FORWARD, "0s"), (BACK, "0s"), (BACK, "20m")])
def test_through_a_night_in_which_clocks_change_every_row_is_read_once(sqlite, change, lookback):
    """Every ten minutes a row, visible up to nine minutes later; every seven minutes a run."""
    sqlite.table("id int primary key, at datetime")
    start = change - timedelta(hours=3)
    written = [start + timedelta(minutes=10 * number) for number in range(36)]
    found, cursor = [], None
    waiting = {number: one + timedelta(minutes=number * 7 % 10) for number, one in enumerate(written)}
    for minute in range(0, 8 * 60, 7):
        now = start + timedelta(minutes=minute)
        for number in [number for number, visible in waiting.items() if visible <= now]:
            del waiting[number]
            sqlite.insert((number, written[number].astimezone(STOCKHOLM).replace(tzinfo=None).isoformat(" ")))
        ids, cursor = at(sqlite, now, cursor, safety_lag="10m", lookback=lookback)
        found += ids
    assert not waiting
    assert sorted(found if lookback == "0s" else set(found)) == list(range(len(written)))


def at(source, now, cursor, **incremental):
    """What a run at that time reads, and the cursor after it."""
    given = {"cursor_column": "at", "source_timezone": "Europe/Stockholm", **incremental}
    options = ConnectorFactory.create({**source.options, "table": "t", "incremental": given})
    with opened(options.server) as session:
        then = Session(session.database, session.connection, Clock(now, None))
        relation = Relation(options, session.connection.dialect)
        described = options.server.describe(then, relation)
        window = window_of(then, relation, described, options, cursor)
        rows = then.rows(relation.rows(described.columns[:1], window.conditions, fast=False))
    return [row[0] for row in rows], window.cursor if rows else cursor


def test_a_lookback_over_the_hour_that_was_skipped_is_as_long_as_by_the_clock(sqlite):
    sqlite.table("id int primary key, at datetime")
    sqlite.insert((1, "2026-03-29 01:45:00"), (2, "2026-03-29 03:05:00"))
    _, cursor = at(sqlite, FORWARD + timedelta(minutes=20), None, safety_lag="10m")
    assert cursor["value"] == "2026-03-29T03:10:00"
    assert at(sqlite, FORWARD + timedelta(minutes=20), cursor, safety_lag="10m", lookback="30m")[0] == [1, 2]


# the zone of times without one


def test_times_without_zone_are_in_the_zone_that_the_servers_clock_shows(postgres):
    database = postgres.execute("SELECT current_database()")[0][0]
    postgres.execute(f"ALTER DATABASE {database} SET timezone TO 'Asia/Kolkata'")
    postgres.table("id int primary key, at timestamp")
    postgres.execute("INSERT INTO t SELECT n, localtimestamp - n * interval '1 second' FROM unnest(ARRAY[90, 30]) n")
    found = read(postgres)
    assert (found.ids, found.told["held back by safety_lag"]) == ([90], 1)
    assert read(postgres, source_timezone="UTC").ids == []  # five hours and a half ahead
    assert read(postgres, source_timezone="America/New_York").ids == []
    assert sorted(read(postgres, source_timezone="Asia/Tokyo").ids) == [30, 90]


@pytest.mark.parametrize("zone", ["<+0530>-05:30", "-5:30"])
def test_zones_that_are_but_an_offset_are_known(postgres, zone):
    database = postgres.execute("SELECT current_database()")[0][0]
    postgres.execute(f"ALTER DATABASE {database} SET timezone TO '{zone}'")
    postgres.table("id int primary key, at timestamp")
    postgres.execute("INSERT INTO t SELECT n, localtimestamp - n * interval '1 second' FROM unnest(ARRAY[90, 30]) n")
    assert read(postgres).ids == [90]


def test_a_zone_that_has_no_name_known_here_is_asked_for(postgres):
    database = postgres.execute("SELECT current_database()")[0][0]
    postgres.execute(f"ALTER DATABASE {database} SET timezone TO 'CET-1CEST,M3.5.0,M10.5.0/3'")
    postgres.table("id int primary key, at timestamp, z timestamptz")
    postgres.execute("INSERT INTO t VALUES (1, localtimestamp - interval '90 s', now() - interval '90 s')")
    with pytest.raises(ConfigError, match=r"set source\.incremental\.source_timezone, such as Europe/Stockholm"):
        read(postgres)
    assert read(postgres, source_timezone="Europe/Stockholm").ids == [1]
    assert read(postgres, cursor_column="z").ids == [1]


def test_ends_that_a_job_gives_are_in_the_zone_of_the_column(sqlite, postgres):
    sqlite.table("id int primary key, at datetime")
    sqlite.insert((1, "2026-01-01 10:30:00"), (2, "2026-01-01 11:30:00"))
    for end in ("2026-01-01 11:00", "2026-01-01T10:00:00Z", datetime(2026, 1, 1, 11, 0)):
        assert read(sqlite, source_timezone="Europe/Stockholm", end_value=end).ids == [1]
    postgres.table("id int primary key, at timestamptz")
    postgres.insert((1, "2026-01-01 10:30:00+01"), (2, "2026-01-01 11:30:00+01"))
    assert read(postgres, end_value="2026-01-01 10:00").ids == [1]
    assert read(postgres, end_value="2026-01-01 11:00", source_timezone="Europe/Stockholm").ids == [1]


def test_times_beyond_any_calendar_are_rows_without_a_cursor(postgres):
    postgres.table("id int primary key, at timestamptz")
    postgres.insert((1, "2026-01-01 10:30:00+01"), (2, "infinity"))
    for lag in (0, "60s"):
        with pytest.raises(DataError, match="1 row of t without at"):
            read(postgres, safety_lag=lag)
        assert read(postgres, safety_lag=lag, relation={"where_clause": "isfinite(at)"}).ids == [1]


# SQLite, where times are texts

WRITTEN = {
    "blank": lambda m: m.isoformat(" "),
    "T": lambda m: m.isoformat("T"),
    "Z": lambda m: m.isoformat("T", "microseconds") + "Z",
    "offset": lambda m: (m + timedelta(hours=5, minutes=30)).isoformat(" ", "milliseconds") + "+05:30",
    "west": lambda m: (m - timedelta(hours=8)).isoformat("T", "seconds") + "-08:00",
    "milliseconds": lambda m: m.isoformat(" ", "milliseconds"),
    "seconds": lambda m: m.isoformat(" ", "seconds"),
    "minutes": lambda m: m.isoformat(" ", "minutes"),
    "day": lambda m: m.date().isoformat(),
}
PRECISION = {
    "milliseconds": "milliseconds",
    "offset": "milliseconds",
    "seconds": "seconds",
    "west": "seconds",
}


def kept(moment, written):
    """What of *moment* is written; where that is a minute or a day, the end of it."""
    if written == "day":
        return moment.replace(hour=23, minute=59, second=59, microsecond=999_999)
    if written == "minutes":
        return moment.replace(second=59, microsecond=999_999)
    return datetime.fromisoformat(moment.isoformat(" ", PRECISION.get(written, "microseconds")))


TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2, 23))


@given(st.lists(st.tuples(TIMES, st.sampled_from(sorted(WRITTEN))), min_size=1, max_size=12), TIMES, TIMES)
@examples(max_examples=25)
def test_texts_of_sqlite_are_compared_as_the_times_that_they_are(tmp_path_factory, rows, one, other):
    source = Source("sqlite", str(tmp_path_factory.mktemp("times") / "source.sqlite"))
    source.table("id integer primary key, at timestamp")
    source.insert(*((number, WRITTEN[written](moment)) for number, (moment, written) in enumerate(rows)))
    start, end = min(one, other), max(one, other) + timedelta(microseconds=1)
    found = read(source, initial_value=start.isoformat(), end_value=end.isoformat(), relation={"columns": ["id"]})
    wanted = [number for number, (moment, written) in enumerate(rows) if start <= kept(moment, written) < end]
    assert sorted(found.ids) == wanted


def test_what_sqlite_cannot_place_in_time_has_no_cursor(sqlite):
    sqlite.table("id int primary key, at timestamp")
    sqlite.insert((1, ago(300)), (2, 1700000000), (3, "yesterday"), (4, "2026-13-01 00:00:00"), (5, None))
    with pytest.raises(DataError, match="4 rows of t without at"):
        read(sqlite)
    assert read(sqlite, on_null_cursor="exclude").ids == [1]
