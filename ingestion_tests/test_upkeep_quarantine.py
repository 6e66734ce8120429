"""Which quarantined rows count is told by the history of their target: cutting it must change nothing of that."""

from datetime import datetime, timedelta, timezone

import pytest

from ingestion.errors import ConfigError
from ingestion.loaders.delta.log import commit_at
from ingestion.loaders.delta.settling import settle
from ingestion.loaders.iceberg.catalog import opened
from ingestion.loaders.iceberg.upkeep.quarantined import remove_replayed, remove_strays
from ingestion.loaders.tables.unsettled import Stray
from ingestion_tests.targets import LATE, land, listed, numbers, replay
from ingestion_tests.test_behaviour import killed, somewhere, target

__all__ = ["target"]  # the fixture

ICEBERG = ["iceberg-sqlite-local"]
AT_ONCE = {"maintenance": {"keep_snapshots": 1, "min_age_hours": 0}}
SHORT_LOG = {"delta.logRetentionDuration": "interval 0 seconds", "delta.enableExpiredLogCleanup": "true"}
NOW = datetime(2024, 5, 1, tzinfo=timezone.utc)


def waiting(loader, job="a"):
    return [row["id"] for row in listed(loader, job)]


def stored(target):
    """How many rejected rows the quarantine holds, and how many marks."""
    marks = target.table("__quarantine")["replays"]
    return marks.null_count, len(marks) - marks.null_count


def cut_by_others(target):
    """Expire all but the newest snapshot, as another engine would."""
    with opened(target.catalog) as catalog:
        table = catalog.load_table(f"{target.options['database']}.t")
        newest = table.current_snapshot().snapshot_id
        table.maintenance.expire_snapshots().by_ids(
            [item.snapshot_id for item in table.snapshots() if item.snapshot_id != newest]
        ).commit()


@somewhere(ICEBERG)
def test_upkeep_after_a_killed_replay_hides_no_row(target):
    loader = target.loader(**AT_ONCE)
    land(loader, numbers(0, 300))
    before = waiting(loader)
    killed(target, "before@1", 0, "replay")
    land(loader, numbers(300, 400), job="b")
    loader.upkeep("a")
    assert waiting(loader) == before
    land(loader, numbers(300, 301))
    loader.upkeep("a")
    assert waiting(loader)[:3] == before
    replay(loader)
    assert [n for n in target.numbers() if n >= LATE] == [LATE + 100, LATE + 200]


@somewhere(ICEBERG)
def test_upkeep_after_a_killed_run_lets_none_of_its_rows_count(target):
    loader = target.loader(**AT_ONCE)
    land(loader, numbers(0, 300))
    before = waiting(loader)
    killed(target, "before@1", 1000)
    land(loader, numbers(300, 400), job="b")
    loader.upkeep("a")
    assert waiting(loader) == before
    assert stored(target)[0] > 3 + 1


@somewhere(ICEBERG)
def test_a_replay_that_is_killed_just_after_history_was_cut_hides_no_row(target):
    loader = target.loader(**AT_ONCE)
    land(loader, numbers(0, 100))
    land(loader, numbers(100, 200))
    loader.upkeep("a")
    assert len(listed(loader)) == 2
    killed(target, "before@1", 0, "replay")
    assert len(listed(loader)) == 2
    replay(loader)
    assert [n for n in target.numbers() if n >= LATE] == [LATE + 100]


@somewhere(ICEBERG)
def test_tables_of_format_version_1_know_where_their_history_begins(target):
    loader = target.loader(table_properties={"format-version": 1})
    land(loader, numbers(0, 300))
    before = waiting(loader)
    killed(target, "before@1", 0, "replay")
    assert waiting(loader) == before
    killed(target, "before@1", 1000)
    assert waiting(loader) == before
    land(loader, numbers(300, 400))
    assert stored(target) == (4, 0)


@somewhere(ICEBERG)
def test_where_another_engine_cut_history_after_a_killed_replay_no_row_is_hidden_or_there_twice(target):
    loader = target.loader()
    land(loader, numbers(0, 300))
    before = waiting(loader)
    killed(target, "before@1", 0, "replay")
    land(loader, numbers(300, 400), job="b")
    cut_by_others(target)
    assert waiting(loader) == before
    replay(loader)
    assert [n for n in target.numbers() if n >= LATE] == [LATE + 100, LATE + 200]


@somewhere(["delta-local"])
def test_a_killed_replay_hides_no_row_once_the_log_is_cut(target):
    loader = target.loader(table_properties=SHORT_LOG)
    land(loader, numbers(0, 300))
    before = waiting(loader)
    killed(target, "before@1", 0, "replay")
    land(loader, numbers(300, 400), job="b")
    loader.upkeep("a")
    assert waiting(loader) == before
    table = loader.place("a").open()
    table.create_checkpoint()
    table.cleanup_metadata()
    assert waiting(loader) == before


@somewhere(["delta-local"])
def test_the_log_is_kept_for_loads_that_may_still_land_and_no_longer(target):
    loader = target.loader(table_properties=SHORT_LOG)
    land(loader, numbers(0, 600))
    replay(loader)
    after = waiting(loader)
    assert stored(target) == (6 + 2, 6)
    killed(target, "before@1", 0, "replay")
    assert loader.upkeep("a")["replayed_rows_removed"] == 6
    place = loader.place("a")
    assert commit_at(place, 0) is not None
    assert waiting(loader) == after
    tomorrow = datetime.now(timezone.utc) + timedelta(hours=25)
    done, complete = settle(place, place.open(), timedelta(0), tomorrow)
    assert (done["stray_loads_removed"], complete) == (1, True)
    assert stored(target) == (2, 0)
    assert waiting(loader) == after
    with pytest.raises(ConfigError, match=r"rows that a replay since then .* brought anew would be lost"):
        loader.rollback("a", "again")
    assert waiting(loader) == after


@somewhere(ICEBERG)
def test_what_loads_left_that_can_no_longer_land_goes_whatever_the_options_say(target):
    loader = target.loader()
    land(loader, numbers(0, 300))
    before = waiting(loader)
    killed(target, "before@1", 0, "replay")
    killed(target, "before@1", 1000)
    held = stored(target)
    assert held[0] > len(before) + 1
    assert held[1] == 3
    assert loader.upkeep("a") == {}
    assert stored(target) == held
    tomorrow = datetime.now(timezone.utc) + timedelta(hours=25)
    with opened(target.catalog) as catalog:
        done, since = remove_strays(catalog, loader.identifier("a"), tomorrow)
    assert (dict(done), since) == ({"stray_loads_removed": 2}, None)
    assert stored(target) == (3, 0)
    assert waiting(loader) == before


@somewhere(ICEBERG)
def test_replayed_rows_go_with_their_marks_once_the_replay_has_expired(target):
    loader = target.loader(maintenance={"keep_snapshots": 1, "min_age_hours": 0})
    land(loader, numbers(0, 600))
    replay(loader)
    after = waiting(loader)
    assert stored(target) == (6 + 2, 6)
    loader.upkeep("a")
    assert stored(target) == (6 + 2, 6), "while the replay can be taken back its rows stay"
    land(loader, numbers(600, 601), job="b")
    assert loader.upkeep("a")["replayed_rows_removed"] == 6
    assert stored(target) == (2 + 1, 0)
    assert waiting(loader) == after


@somewhere(ICEBERG)
def test_a_replay_whose_rows_upkeep_took_out_is_not_taken_back(target):
    loader = target.loader()
    land(loader, numbers(0, 300), run_id="r1")
    replay(loader)
    after = waiting(loader)
    with opened(target.catalog) as catalog:
        snapshots = catalog.load_table(loader.identifier("a")).snapshots()
        assert remove_replayed(catalog, loader.identifier("a"), snapshots)["replayed_rows_removed"] == 3
    for run in ("again", "r1"):
        with pytest.raises(ConfigError, match=r"rows that a replay since then .* brought anew would be lost"):
            loader.rollback("a", run)
    assert waiting(loader) == after


@pytest.mark.parametrize(
    ("hours", "landed_minutes", "over"),
    [(25, None, True), (23, None, False), (1, 2, True), (1, 0.5, False), (1, -5, False)],
)
def test_a_load_is_over_once_another_landed_behind_it_or_a_day_has_passed(hours, landed_minutes, over):
    began = NOW - timedelta(hours=hours)
    newest = {} if landed_minutes is None else {"a": began + timedelta(minutes=landed_minutes)}
    assert Stray("a", "l", began, began).is_over(NOW, newest) == over
    assert not Stray("b", "l", NOW, NOW).is_over(NOW, newest)
