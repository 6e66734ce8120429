"""What each command does; heavy imports wait until a command needs them."""

import argparse
import json
import sys
import uuid
from pathlib import Path
from typing import Any

from ingestion.cli.overrides import parse_overrides
from ingestion.cli.progress import Watch, progress
from ingestion.config import (
    check_templates,
    list_sources,
    load_all,
    load_file,
    load_job,
    load_source_file,
    yaml_path,
)
from ingestion.errors import ConfigError, IngestionError
from ingestion.pipeline import Stream
from ingestion.report import RunReport
from ingestion.secrets import clear_secrets, redact, redact_all
from ingestion.settings import current

DONE, FAILED, WRONG_CALL = 0, 1, 2


def most(text: str) -> int:
    """An option that says how many are shown at most; raises ArgumentTypeError for what is no count."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a limit; give a number, 0 for all")
    return int(text)


def show(text: str) -> None:
    """Print a result."""
    sys.stdout.write(f"{text}\n")


def say(text: str) -> None:
    """Print a message."""
    sys.stderr.write(f"{text}\n")


def show_json(value: Any) -> None:
    """Print a result for machines, without secrets."""
    show(json.dumps(redact_all(value), indent=2, ensure_ascii=False, default=lambda item: redact(str(item))))


def validate(options: argparse.Namespace) -> int:
    """Check jobs and sources; every mistake is told."""
    checked = [_check(name) for name in options.names] if options.names else _check_all()
    wrong = [item for item in checked if item["error"]]
    if options.json:
        show_json({"valid": not wrong, "checked": checked})
        return WRONG_CALL if wrong else DONE
    for item in wrong:
        say(item["error"])
    if not wrong:
        show(f"{_counted(checked)}: valid")
    else:
        say(f"{len(wrong)} of {_counted(checked)} not valid")
    return WRONG_CALL if wrong else DONE


def _counted(checked: list[dict[str, Any]]) -> str:
    counts = {kind: sum(item["kind"] == kind for item in checked) for kind in ("job", "source", "template")}
    told = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items() if count]
    return " and ".join(filter(None, [", ".join(told[:-1]), *told[-1:]])) or f"0 jobs in {current().job_config_path}"


def require_jobs() -> None:
    """Raise ConfigError where there is nothing at JOB_CONFIG_PATH to read jobs from."""
    path = current().job_config_path
    if not path.exists():
        raise ConfigError(f"{path} does not exist; create it, or set JOB_CONFIG_PATH")


def _check_all() -> list[dict[str, Any]]:
    require_jobs()
    jobs = [_outcome("job", item.id, item.path, item.error) for item in load_all()]
    sources = [_outcome("source", item.id, item.path, item.error) for item in list_sources()]
    return jobs + sources + [_outcome("template", path.stem, path, error) for path, error in check_templates()]


def _check(name: str) -> dict[str, Any]:
    path = Path(name)
    is_file = path.suffix in (".yaml", ".yml") or path.exists()
    kind = "source" if is_file and current().config_path / "sources" in path.absolute().parents else "job"
    try:
        if not is_file:
            load_job(name)
        elif kind == "source":
            load_source_file(path.absolute())
        else:
            load_file(path.absolute())
    except ConfigError as error:
        return _outcome(kind, path.stem, path if is_file else None, error)
    return _outcome(kind, path.stem, path if is_file else None, None)


def _outcome(kind: str, name: str, path: Path | None, error: ConfigError | None) -> dict[str, Any]:
    return {"kind": kind, "id": name, "file": path and str(path), "error": error and redact(str(error))}


def schema(options: argparse.Namespace) -> int:
    """Print a JSON Schema; it is JSON with or without --json."""
    from ingestion.config.schema import job_schema, source_schema

    show_json(job_schema() if options.kind == "job" else source_schema())
    return DONE


def run(options: argparse.Namespace) -> int:
    """Run a job through Dagster, or bare; the report tells how it went."""
    overrides = parse_overrides(options.set)
    for path in clear_secrets(overrides) if not options.bare else ():
        name = str(path[-1]).upper()
        raise ConfigError(
            f"--set {yaml_path(path)}: a secret in clear would stand in Dagster's history; write '${{{name}}}'"
        )
    job = load_job(options.job).merged(overrides)
    job.resolved()  # a wrong call is told before anything starts
    with progress() as watch:
        if options.bare:
            report = load_bare(Stream(job, uuid.uuid4().hex), watch)
        else:
            from ingestion.orchestration.launch import run_job

            report = run_job(options.job, overrides, watch.started)
    return tell(report, as_json=options.json)


def load_bare(stream: Stream, watch: Watch) -> RunReport:
    """Load without Dagster; a failure is in the report."""
    watch.started(stream)
    try:
        return stream.load()
    except IngestionError:
        return stream.report  # it holds the error


def tell(report: RunReport, *, as_json: bool) -> int:
    """Print how a load went; the exit status that says so."""
    status = FAILED if report.status == "failed" else DONE
    if as_json:
        show_json(report.as_json())
    out = say if as_json or status != DONE else show
    for line in (report.sentence(), *report.details()):
        out(redact(line))
    return status


def demo(options: argparse.Namespace) -> int:
    """Run the shipped sample job."""
    from ingestion.orchestration import demo as sample

    return sample.main(as_json=options.json)


def serve(options: argparse.Namespace) -> int:
    """Run the service until it is interrupted."""
    from ingestion.orchestration import serve as service

    del options  # it has nothing to print
    require_jobs()
    return service.main()
