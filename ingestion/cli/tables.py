"""The commands about the tables that jobs load: their history, taking a run back, and upkeep."""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from ingestion.cli.commands import DONE, FAILED, WRONG_CALL, most, require_jobs, say, show, show_json
from ingestion.config import JobConfig, LoadedJob, caretaker, load_all, load_job, one_per_table
from ingestion.errors import ConfigError, IngestionError
from ingestion.plugins import Landed
from ingestion.secrets import redact

__all__ = ["add_to", "aligned", "history", "rollback", "upkeep"]

_WIDEST = 40  # of what is printed of a cursor
_SHORTEST_START, _WHOLE = 8, 32  # characters of a run's id
_COLUMNS = ("run", "time (UTC)", "mode", "rows", "files", "snapshot", "cursor")


def add_to(add: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """Give a parser these commands."""
    listing = add("history", history, "list the loads that a job's table remembers")
    listing.add_argument("job", metavar="JOB", help="the job's id")
    listing.add_argument(
        "--limit", type=most, default=20, metavar="N", help="show the newest N, 0 for all (default 20)"
    )
    back = add("rollback", rollback, "take a run back, so that table and position are what they were before")
    back.add_argument("job", metavar="JOB", help="the job's id")
    back.add_argument(
        "--run",
        required=True,
        metavar="RUN",
        help="the run's id, as `ingestion history` shows it, or how it begins, by 8 characters or more",
    )
    care = add("upkeep", upkeep, "compact and clean up tables; no row changes")
    care.add_argument("jobs", nargs="*", metavar="JOB", help="job ids")
    care.add_argument("--all", action="store_true", help="the tables of all jobs")


def history(options: argparse.Namespace) -> int:
    """List the loads of a job's table, newest first."""
    job = load_job(options.job).resolved()
    loads = job.loader.history(job.id)
    loads = [item._replace(mode=_mode(item)) for item in loads]
    chosen = loads[: options.limit] if options.limit > 0 else loads
    if options.json:
        show_json({"job": job.id, "loads": [item._asdict() for item in chosen]})
        return DONE
    for line in aligned([_COLUMNS, *(_row(item, job.id) for item in chosen)]):
        show(redact(line))
    if len(chosen) < len(loads):
        say(f"{len(loads) - len(chosen)} more; --limit 0 shows all")
    return DONE


def rollback(options: argparse.Namespace) -> int:
    """Take a run of a job back."""
    job = load_job(options.job).resolved()
    done = job.loader.rollback(job.id, _whole_id(options.run, job))
    if options.json:
        show_json({"job": job.id, "undone": [item._asdict() for item in done.undone], "snapshot": done.snapshot})
        return DONE
    for item in done.undone:
        what = f"{_mode(item)}, {_counted(item.rows)}, {item.at:%Y-%m-%d %H:%M} UTC"
        show(f"{job.id}: took back run {item.run_id} ({what})")
    now = f"the table shows snapshot {done.snapshot}; " if done.snapshot is not None else ""
    show(f"{job.id}: {now}{_ahead(done.undone, job.id)}")
    return DONE


def _mode(item: Landed) -> str:
    return "replay" if item.load_id.startswith("replay-") else item.mode


def _ahead(undone: Sequence[Landed], job_id: str) -> str:
    """What becomes of the rows that were taken back."""
    brought = any(_mode(item) == "replay" for item in undone)
    waiting = f"what its replay brought is in quarantine again: ingestion replay {job_id} brings it"
    if all(_mode(item) == "replay" for item in undone):
        return waiting
    return "its next run loads the same again" + (f"; {waiting}" if brought else "")


def _whole_id(run: str, job: JobConfig) -> str:
    """The id that *run* begins, if one run alone has such an id; raises ConfigError where several do."""
    if not _SHORTEST_START <= len(run) < _WHOLE:
        return run
    ids = {item.run_id for item in job.loader.history(job.id) if item.job == job.id}
    meant = sorted({run} & ids or {run_id for run_id in ids if run_id.startswith(run)})
    if len(meant) > 1:
        raise ConfigError(f"{job.id}: --run {run} begins the ids of several runs: {', '.join(meant)}; write out one")
    return meant[0] if meant else run


def upkeep(options: argparse.Namespace) -> int:
    """Look after the tables of jobs; one that fails does not keep the others from it."""
    if bool(options.jobs) == options.all:
        raise ConfigError("name the jobs whose tables are meant, or give --all")
    tables, broken = _tables(options.jobs)
    answers = [_upkeep(ids[0], jobs=ids) for ids in tables]
    answers += [{"jobs": [item.id], "done": {}, "error": redact(str(item.error))} for item in broken]
    if options.json:
        show_json({"tables": answers})
    else:
        for answer in answers:
            (say if answer["error"] else show)(_sentence(answer))
    if broken:
        return WRONG_CALL
    return FAILED if any(answer["error"] for answer in answers) else DONE


def _tables(names: Sequence[str]) -> tuple[list[list[str]], list[LoadedJob]]:
    """The jobs of each table, and those whose files do not say which it is."""
    if names:
        return one_per_table([load_job(name) for name in names]), []
    require_jobs()
    loaded = load_all()
    tables = one_per_table([item.job for item in loaded if item.job is not None])
    return tables, [item for item in loaded if item.job is None]


def _upkeep(job_id: str, jobs: Sequence[str]) -> dict[str, Any]:
    try:
        return {"jobs": jobs, "done": caretaker(job_id).upkeep(job_id), "error": None}
    except IngestionError as error:
        return {"jobs": jobs, "done": {}, "error": redact(str(error))}


def _sentence(answer: dict[str, Any]) -> str:
    done = ", ".join(f"{name}: {count}" for name, count in answer["done"].items()) or "nothing was due"
    return f"{', '.join(answer['jobs'])}: {answer['error'] or done}"


def _row(item: Landed, job_id: str) -> tuple[str, ...]:
    run = item.run_id if item.job == job_id else f"{item.run_id} ({item.job})"
    cursor = "" if item.cursor is None else json.dumps(item.cursor, ensure_ascii=False, default=str)
    shown = cursor if len(cursor) <= _WIDEST else f"{cursor[: _WIDEST - 1]}…"
    counts = ("" if count is None else str(count) for count in (item.rows, item.files))
    return (run, f"{item.at:%Y-%m-%d %H:%M:%S}", item.mode, *counts, item.snapshot or "", shown)


def _counted(rows: int | None) -> str:
    return "rows not counted" if rows is None else f"{rows} row{'' if rows == 1 else 's'}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines in which the cells of each column stand below each other."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
