"""The command that asks the source and the target of a job whether a run could begin."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ingestion.cli.commands import DONE, FAILED, WRONG_CALL, say, show, show_json
from ingestion.cli.overrides import parse_overrides
from ingestion.cli.preview import columns_told
from ingestion.cli.tables import aligned
from ingestion.config import load_job
from ingestion.errors import ConfigError
from ingestion.plugins import Checked, Cursor
from ingestion.report import describe_cursor, told_in_words
from ingestion.secrets import redact

if TYPE_CHECKING:
    from ingestion.checking import JobCheck

__all__ = ["add_to", "check"]


def add_to(add: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """Give a parser this command."""
    parser = add("check", check, "connect to a job's source and target and say what a run would meet; nothing is read")
    parser.add_argument("job", metavar="JOB", help="the job's id")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="an option for this check alone"
    )


def check(options: argparse.Namespace) -> int:
    """Say what source and target answer; the exit status is that of a run that could not begin."""
    from ingestion.checking import check as checked

    job = load_job(options.job).merged(parse_overrides(options.set))
    found = checked(job)
    if options.json:
        show_json(found.as_json())
    else:
        for line in _lines(found):
            show(redact(line))
    for error in found.errors:
        say(f"{job.id}: a run would fail: {str(error).removeprefix(f'{job.id}: ')}")
    if not found.errors:
        return DONE
    return WRONG_CALL if isinstance(found.errors[0], ConfigError) else FAILED


def _lines(found: "JobCheck") -> Iterator[str]:
    if found.source is not None:
        yield from _of_source(found.source, found.job)
        if found.cursor is not None or found.source.cursor is not None:
            after = found.source.cursor if found.source.cursor is not None else found.cursor
            yield f"position: {_or_start(found.cursor)}; after the next run {_or_start(after)}"
        if found.source.columns:
            yield from ("", *aligned(list(_of_columns(found.source))))
    if found.comparison is not None:
        yield from ("", *columns_told(found.comparison))


def _of_source(source: Checked, job: str) -> Iterator[str]:
    yield f"{job}: {source.source}"
    if source.server is not None:
        yield f"server: {source.server}"
    if source.key:
        yield f"primary key: {', '.join(source.key)}"
    yield from told_in_words(source.told)


def _of_columns(source: Checked) -> Iterator[tuple[str, ...]]:
    declared = any(column.declared is not None for column in source.columns)
    noted = any(column.note for column in source.columns)
    heads = ("column", *(["declared"] if declared else []), "becomes", *([""] if noted else []))
    yield heads
    for column in source.columns:
        words = [column.declared or ""] if declared else []
        yield (column.name, *words, str(column.dtype), *([column.note] if noted else []))


def _or_start(cursor: Cursor) -> str:
    if cursor is None:
        return "at the start"
    if isinstance(cursor, Mapping) and {"column", "value"} <= set(cursor):  # a database's
        key = cursor.get("key") or {}
        return f"{cursor['column']} {cursor['value']}" + (f" ({', '.join(map(str, key.values()))})" if key else "")
    return json.dumps(describe_cursor(cursor), ensure_ascii=False, default=str)
