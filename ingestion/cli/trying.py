"""The commands that try a job without a run: its inline tests, and a preview of what it would do."""

import argparse
from collections.abc import Callable
from typing import Any

from ingestion.cli.commands import DONE, FAILED, WRONG_CALL, require_jobs, say, show, show_json
from ingestion.config import JobConfig, load_all, load_job
from ingestion.errors import IngestionError
from ingestion.secrets import redact
from ingestion.shown import counted

__all__ = ["add_to", "test"]


def add_to(add: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """Give a parser these commands."""
    tests = add("test", test, "run the inline tests of jobs; no source and no target is touched")
    tests.add_argument("jobs", nargs="*", metavar="JOB", help="job ids; all jobs if none")


def test(options: argparse.Namespace) -> int:
    """Run inline tests; every difference is told, and a job that does not load is one, too."""
    answers = [_tested(load_job(name)) for name in options.jobs] if options.jobs else _all_tested()
    tests = [outcome for answer in answers for outcome in answer["tests"]]
    failed = sum(not outcome["passed"] for outcome in tests)
    if options.json:
        show_json({"passed": len(tests) - failed, "failed": failed, "jobs": answers})
    else:
        for line in _told(answers):
            say(line)
        with_tests = sum(bool(answer["tests"]) for answer in answers)
        of_all = f"{counted(len(tests), 'test')} of {counted(with_tests, 'job')}"
        (say if failed else show)(f"{failed} of {of_all} failed" if failed else f"{of_all} passed")
    if any(answer["error"] for answer in answers):
        return WRONG_CALL
    return FAILED if failed else DONE


def _all_tested() -> list[dict[str, Any]]:
    require_jobs()
    return [_answer(item.id, error=item.error) if item.job is None else _tested(item.job) for item in load_all()]


def _tested(job: JobConfig) -> dict[str, Any]:
    from ingestion.examples import run_tests

    try:
        outcomes = run_tests(job)
    except IngestionError as error:
        return _answer(job.id, error=error)
    return _answer(
        job.id,
        [
            {"title": item.title, "name": item.name, "passed": not item.problems, "problems": list(item.problems)}
            for item in outcomes
        ],
    )


def _answer(
    job_id: str, tests: list[dict[str, Any]] | None = None, error: IngestionError | None = None
) -> dict[str, Any]:
    return {"job": job_id, "tests": tests or [], "error": error and redact(str(error))}


def _told(answers: list[dict[str, Any]]) -> list[str]:
    lines = []
    for answer in answers:
        lines += [answer["error"]] if answer["error"] else []
        lines += [
            f"{answer['job']}: {item['title']}: {problem}" for item in answer["tests"] for problem in item["problems"]
        ]
    return lines
