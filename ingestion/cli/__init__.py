"""``ingestion``: the service from a shell, thin over the same functions that everything else uses.

Results go to stdout, messages to stderr. Exit status: 0 done, 1 the job failed, 2 the configuration or the call
is wrong.
"""

import argparse
import atexit
import gc
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ingestion.cli import checking, commands, preview, quarantine, tables, trying
from ingestion.errors import ConfigError, IngestionError
from ingestion.secrets import redact

__all__ = ["main", "parser"]

_OBJECTS_BETWEEN_SEARCHES = 50_000  # imports make objects that stay; a search for cycles in them finds nothing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES)
    options = parser().parse_args(arguments)
    atexit.register(gc.freeze)  # the last search for cycles takes half a second once Dagster is imported
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        status = int(options.command(options))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it closes stdout
        return 0
    except IngestionError as error:
        text = redact(str(error))
        commands.say(text)
        if options.json:
            commands.show_json({"status": "failed", "error": text})
        return commands.WRONG_CALL if isinstance(error, ConfigError) else commands.FAILED
    except KeyboardInterrupt:
        commands.say("interrupted; nothing was committed that is not in the table's history")
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    top = argparse.ArgumentParser("ingestion", description="Jobs described in YAML, loaded into tables exactly once.")
    top.add_argument("--version", action="version", version=f"ingestion {version('ingestion')}")
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: object, text: str) -> argparse.ArgumentParser:
        found = subparsers.add_parser(name, help=text, description=text)
        found.set_defaults(command=command)
        found.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
        return found

    validate = add("validate", commands.validate, "check job and source files without touching their sources")
    validate.add_argument("names", nargs="*", metavar="JOB|FILE", help="job ids or files; all jobs and sources if none")
    schema = add("schema", commands.schema, "print the JSON Schema of job or source files")
    schema.add_argument("kind", choices=["job", "source"])
    run = add("run", commands.run, "run a job in this process")
    run.add_argument("job", metavar="JOB", help="the job's id")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="an option for this run alone: source.port=5433",
    )
    run.add_argument("--bare", action="store_true", help="without Dagster: no history, no alerts, a faster start")
    checking.add_to(add)
    preview.add_to(add)
    trying.add_to(add)
    quarantine.add_to(add)
    tables.add_to(add)
    add("demo", commands.demo, "run the shipped sample job and show what it loaded")
    add("serve", commands.serve, "run the UI, the daemon and the REST sidecar until interrupted")
    return top
