"""Jobs and sources as they lie in the configuration folder now; one broken file never hides another."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ingestion.config.job import JobConfig, build, check_id
from ingestion.config.layers import Workspace, yaml_files
from ingestion.config.source import SourceConfig
from ingestion.config.yaml_text import Document
from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.settings import Settings, current

__all__ = [
    "LoadedJob",
    "LoadedSource",
    "check_templates",
    "find_job",
    "list_sources",
    "load_all",
    "load_file",
    "load_job",
    "load_source",
    "load_source_file",
    "parse_job",
]

DEFAULT_GROUP = "ingestion"
T = TypeVar("T")


@dataclass(frozen=True)
class LoadedJob:
    """A job file, or an entry of a jobs map: either the job, or what is wrong with it."""

    id: str
    group: str
    path: Path
    job: JobConfig | None
    error: ConfigError | None


@dataclass(frozen=True)
class LoadedSource:
    """A source file: either the source, or what is wrong with it; its category is the subfolder."""

    id: str
    category: str
    path: Path
    source: SourceConfig | None
    error: ConfigError | None


def load_all(settings: Settings | None = None) -> list[LoadedJob]:
    """Every job there is, the broken ones with their error, sorted by id; ids are unique."""
    workspace = Workspace(settings or current())
    loaded = _from_file(workspace) if is_single_file(workspace.settings) else _from_folder(workspace)
    return sorted(_unique(loaded), key=lambda job: job.id)


def find_job(job_id: str, settings: Settings | None = None) -> LoadedJob | None:
    """The job called *job_id* as `load_all` has it, or None; others are read only where file names do not tell."""
    workspace = Workspace(settings or current())
    if not is_single_file(workspace.settings):
        paths = [path for path in yaml_files(workspace.settings.job_config_path) if path.stem == job_id]
        if paths:
            return _from_paths(workspace, job_id, paths)
    return next((loaded for loaded in load_all(settings) if loaded.id == job_id), None)


def load_job(job_id: str, settings: Settings | None = None) -> JobConfig:
    """The job called *job_id*; raises ConfigError if there is none, or if it is broken."""
    workspace = Workspace(settings or current())
    if is_single_file(workspace.settings):
        return _one_of_file(workspace, job_id)
    paths = [path for path in yaml_files(workspace.settings.job_config_path) if path.stem == job_id]
    if not paths:
        raise _no_job(workspace, job_id, (path.stem for path in yaml_files(workspace.settings.job_config_path)))
    return _only_file(workspace, job_id, paths)


def _only_file(workspace: Workspace, job_id: str, paths: Sequence[Path]) -> JobConfig:
    if len(paths) > 1:
        names = " and ".join(workspace.name_of(path) for path in paths)
        raise ConfigError(f"{names} are both the job {job_id!r}; rename one of them")
    return load_file(paths[0], workspace)


def load_file(path: Path, workspace: Workspace | None = None) -> JobConfig:
    """The job in the file at *path*, wherever it lies; raises ConfigError."""
    workspace = workspace or Workspace(current())
    document = workspace.document(path)
    try:
        check_id(path.stem)
    except ConfigError as error:
        raise ConfigError(f"{document.name}: the name of the file is the job's id, and {error}") from error
    return workspace.job(path.stem, document)


def parse_job(job_id: str, config: Mapping[str, Any], settings: Settings | None = None) -> JobConfig:
    """The job that *config* describes, templates and source merged in.

    Raises pydantic's ValidationError for a wrong option, ConfigError for a wrong id, template or ref.
    """
    check_id(job_id)
    workspace = Workspace(settings or current())
    return build(JobConfig, job_id, workspace.job_mapping(Document(job_id, dict(config), None)))


def list_sources(settings: Settings | None = None) -> list[LoadedSource]:
    """Every file of config/sources, the broken ones with their error, sorted by id."""
    workspace = Workspace(settings or current())
    folder = workspace.settings.config_path / "sources"
    loaded = []
    for source_id, paths in workspace.sources.items():
        for path in paths:
            source, problem = _attempt(partial(workspace.source, path))
            category = path.parent.relative_to(folder).as_posix()
            loaded.append(LoadedSource(source_id, "" if category == "." else category, path, source, problem))
    return sorted(loaded, key=lambda item: (item.id, item.path))


def load_source(source_id: str, settings: Settings | None = None) -> SourceConfig:
    """The source called *source_id*; raises ConfigError if there is none, or if it is broken."""
    sources = list_sources(settings)
    found = next((item for item in sources if item.id == source_id), None)
    if found is None:
        hint = nearest(source_id, {item.id for item in sources}, "known sources") if sources else "there are no sources"
        raise ConfigError(f"no source {source_id!r}; {hint}")
    if found.source is None:
        raise found.error or ConfigError(f"source {source_id!r} is broken")
    return found.source


def check_templates(settings: Settings | None = None) -> list[tuple[Path, ConfigError | None]]:
    """Every file of config/templates, with what is wrong with it; whether its options exist shows in the jobs."""
    workspace = Workspace(settings or current())
    paths = yaml_files(workspace.settings.config_path / "templates")
    return [(path, _attempt(partial(workspace.check_template, path))[1]) for path in paths]


def load_source_file(path: Path) -> SourceConfig:
    """The source in the file at *path*; raises ConfigError."""
    return Workspace(current()).source(path)


def is_single_file(settings: Settings) -> bool:
    """Whether all jobs stand in one file."""
    path = settings.job_config_path
    return path.is_file() or (path.suffix in (".yaml", ".yml") and not path.is_dir())


def _attempt(load: Callable[[], T]) -> tuple[T | None, ConfigError | None]:
    try:
        return load(), None
    except ConfigError as error:
        return None, error


def _from_folder(workspace: Workspace) -> Iterable[LoadedJob]:
    folder = workspace.settings.job_config_path
    by_id: dict[str, list[Path]] = {}
    for path in yaml_files(folder):
        by_id.setdefault(path.stem, []).append(path)
    for job_id, paths in by_id.items():
        yield _from_paths(workspace, job_id, paths)


def _from_paths(workspace: Workspace, job_id: str, paths: Sequence[Path]) -> LoadedJob:
    folders = paths[0].parent.relative_to(workspace.settings.job_config_path).parts
    job, problem = _attempt(partial(_only_file, workspace, job_id, paths))
    return LoadedJob(job_id, _slug("_".join(folders)) or DEFAULT_GROUP, paths[0], job, problem)


def _from_file(workspace: Workspace) -> Iterable[LoadedJob]:
    path = workspace.settings.job_config_path
    try:
        document, ids = _jobs_map(workspace)
    except ConfigError as error:
        yield LoadedJob(path.stem, DEFAULT_GROUP, path, None, error)
        return
    for job_id in ids:
        job, problem = _attempt(partial(_entry, workspace, document, job_id))
        yield LoadedJob(job_id, DEFAULT_GROUP, path, job, problem)


def _one_of_file(workspace: Workspace, job_id: str) -> JobConfig:
    document, ids = _jobs_map(workspace)
    if job_id not in ids:
        raise _no_job(workspace, job_id, ids)
    return _entry(workspace, document, job_id)


def _jobs_map(workspace: Workspace) -> tuple[Document, list[str]]:
    path = workspace.settings.job_config_path
    if not path.exists():
        raise ConfigError(f"{path} does not exist; create it, or set JOB_CONFIG_PATH")
    document = workspace.document(path)
    stray = next((key for key in document.value if key != "jobs"), None)
    if stray is not None:
        raise ConfigError(f"{document.where((stray,))}: unknown key {stray!r}; this file holds one map called 'jobs'")
    jobs = document.value.get("jobs")
    if jobs is not None and not isinstance(jobs, dict):
        raise ConfigError(f"{document.where(('jobs',))}: jobs: should be a mapping of ids to jobs")
    return document, list(jobs or {})


def _entry(workspace: Workspace, document: Document, job_id: str) -> JobConfig:
    try:
        check_id(job_id)
    except ConfigError as error:
        raise ConfigError(f"{document.where(('jobs', job_id))}: {error}") from error
    part = document.within("jobs", job_id)
    if not isinstance(part.value, dict):
        raise ConfigError(f"{document.where(('jobs', job_id))}: jobs.{job_id}: should be a mapping of options")
    return workspace.job(job_id, part)


def _unique(loaded: Iterable[LoadedJob]) -> Iterable[LoadedJob]:
    """Broken names still get an id that can name an asset, and no id comes twice."""
    taken: set[str] = set()
    for item in sorted(loaded, key=lambda item: (item.job is None, item.id)):
        name, number = _slug(item.id) or "job", 1
        while name in taken:
            number += 1
            name = f"{_slug(item.id)[:58]}_{number}"
        taken.add(name)
        yield item if name == item.id else LoadedJob(name, item.group, item.path, item.job, item.error)


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9_]+", "_", text.lower())[:63]
    return f"job_{slug}"[:63] if slug and not slug[0].isalpha() else slug


def _no_job(workspace: Workspace, job_id: str, known: Iterable[str]) -> ConfigError:
    path, ids = workspace.settings.job_config_path, set(known)
    if not path.exists():
        return ConfigError(f"no job {job_id!r}: {path} does not exist; create it, or set JOB_CONFIG_PATH")
    given = Path(job_id)
    if given.suffix in (".yaml", ".yml"):
        return ConfigError(f"no job {job_id!r}: that is a file; give the job's id: {given.stem}")
    hint = nearest(job_id, ids, "known jobs") if ids else "it holds no jobs yet"
    return ConfigError(f"no job {job_id!r} in {path}; {hint}")
