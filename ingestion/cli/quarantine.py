"""The commands about rows that did not pass: what they are, and bringing them anew."""

import argparse
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ingestion.cli.commands import DONE, load_bare, most, say, show, show_json, tell
from ingestion.cli.progress import progress
from ingestion.cli.tables import aligned
from ingestion.config import JobConfig, load_job
from ingestion.secrets import redact
from ingestion.transformers.steps import spot

if TYPE_CHECKING:
    from ingestion.replay.reasons import Reason

__all__ = ["add_to", "quarantine", "replay"]

_COLUMNS = ("rows", "rule", "stage", "newest (UTC)", "example")
_ROW_COLUMNS = ("id", "time (UTC)", "place", "rule", "reason")


def add_to(add: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """Give a parser these commands."""
    listing = add("quarantine", quarantine, "list the rows of a job that did not pass, by reason")
    listing.add_argument("job", metavar="JOB", help="the job's id")
    listing.add_argument(
        "--limit", type=most, default=20, metavar="N", help="show the newest N, 0 for all (default 20)"
    )
    listing.add_argument("--reason", default="", metavar="TEXT", help="only rows whose rule or reason has this text")
    listing.add_argument("--rows", action="store_true", help="list the rows themselves")
    listing.add_argument(
        "--dismiss",
        nargs="?",
        const="all",
        choices=["all", "replaced"],
        help="take the rows out of quarantine for good; replaced: those of loads that later ones replaced",
    )
    again = add("replay", replay, "run the rows in quarantine through today's job, and load what passes now")
    again.add_argument("job", metavar="JOB", help="the job's id")
    again.add_argument("--reason", default="", metavar="TEXT", help="only rows whose rule or reason has this text")
    again.add_argument("--bare", action="store_true", help="without Dagster: nothing of it is shown in the UI")


def quarantine(options: argparse.Namespace) -> int:
    """List what is in a job's quarantine, newest first."""
    from ingestion.replay.dismissing import replaced
    from ingestion.replay.reasons import reasons

    job = load_job(options.job).resolved()
    if options.dismiss:
        return _dismiss(job, options)
    if options.rows:
        return _rows(job, options)
    found = reasons(job.loader.quarantined(job.id), options.reason)
    chosen = found.shown[: options.limit] if options.limit > 0 else found.shown
    if options.json:
        show_json({"job": job.id, "count": found.total, "reasons": [reason._asdict() for reason in chosen]})
        return DONE
    if not found.total:
        show(f"{job.id}: nothing in quarantine{_about(options.reason)}")
        return DONE
    for line in aligned([_COLUMNS, *map(_line, chosen)]):
        show(redact(line))
    if len(chosen) < len(found.shown):
        say(f"{len(found.shown) - len(chosen)} more; --limit 0 shows all")
    rows = "1 row" if found.total == 1 else f"{found.total:,} rows"
    show(f"{job.id}: {rows} in quarantine{_about(options.reason)}; replay with: ingestion replay {job.id}")
    if old := replaced(job, options.reason):
        show(f"{job.id}: {old:,} of loads that later ones replaced: ingestion quarantine {job.id} --dismiss replaced")
    return DONE


def _dismiss(job: JobConfig, options: argparse.Namespace) -> int:
    from ingestion.replay.dismissing import dismiss

    done = dismiss(job, uuid.uuid4().hex, options.reason, old=options.dismiss == "replaced")
    if options.json:
        show_json({"job": job.id, "dismissed": done.rows, "without_id": done.nameless})
        return DONE
    rows = "1 row" if done.rows == 1 else f"{done.rows:,} rows"
    show(f"{job.id}: {rows} dismissed{_about(options.reason)}")
    if done.nameless:
        say(f"{job.id}: {done.nameless:,} without an id stay, as an earlier version quarantined them")
    return DONE


def _about(text: str) -> str:
    return f" with {text!r} in rule or reason" if text else ""


def _line(reason: "Reason") -> tuple[str, ...]:
    at = f"{reason.quarantined_at:%Y-%m-%d %H:%M:%S}"
    example = f"{spot(reason.source, reason.position)}: {_line_of(reason.reason)}"
    return (f"{reason.rows:,}", reason.label, reason.stage, at, example)


def _rows(job: JobConfig, options: argparse.Namespace) -> int:
    from ingestion.replay.reasons import newest

    found = newest(job.loader.quarantined(job.id), options.reason, options.limit)
    if options.json:
        show_json({"job": job.id, "count": found.total, "rows": found.shown})
        return DONE
    if not found.total:
        show(f"{job.id}: nothing in quarantine{_about(options.reason)}")
        return DONE
    for line in aligned([_ROW_COLUMNS, *map(_row_line, found.shown)]):
        show(redact(line))
    if len(found.shown) < found.total:
        say(f"{len(found.shown):,} of {found.total:,} rows; --limit 0 shows all")
    return DONE


def _row_line(row: dict[str, Any]) -> tuple[str, ...]:
    rule = f"{row['column']}: {row['rule']}" if row["column"] else row["rule"]
    at = f"{row['quarantined_at']:%Y-%m-%d %H:%M:%S}"
    return (row["id"], at, spot(row["source"], row["position"]), rule, _line_of(row["reason"]))


def _line_of(text: str) -> str:
    """A reason whole, as its end says what to do."""
    return " ".join(text.split())


def replay(options: argparse.Namespace) -> int:
    """Bring the rows in a job's quarantine anew; the report tells how it went."""
    job = load_job(options.job)
    job.resolved()  # a wrong call is told before anything starts
    with progress() as watch:
        if options.bare:
            from ingestion.replay import Replay

            report = load_bare(Replay(job, uuid.uuid4().hex, options.reason), watch)
        else:
            from ingestion.orchestration.replaying import replay_job

            report = replay_job(job, watch.started, options.reason)
    return tell(report, as_json=options.json)
