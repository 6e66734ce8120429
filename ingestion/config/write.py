"""Writing job files: atomic, one writer at a time, comments kept, and undone on request."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingestion.config.job import check_id
from ingestion.config.layers import yaml_files
from ingestion.config.load import is_single_file
from ingestion.config.splice import dumped, edited, jobs_of
from ingestion.errors import ConfigError
from ingestion.settings import Settings, current

__all__ = ["SavedJob", "save_job"]


@dataclass(frozen=True)
class SavedJob:
    """A job that was written, and what stood there before."""

    path: Path
    previous: bytes | None
    """The whole file before the write; None = there was none."""
    written: bytes
    job_id: str
    settings: Settings

    def undo(self) -> None:
        """Put back what stood there before; what others have written since stays."""
        with _locked(self.settings):
            now = self.path.read_bytes() if self.path.exists() else None
            if now == self.written:
                _replace(self.path, self.previous)
            elif now is not None and is_single_file(self.settings):
                before = jobs_of(self.previous, self.path).get(self.job_id)
                _replace(self.path, edited(now, self.path, self.job_id, before))


def save_job(
    job_id: str, config: Mapping[str, Any], settings: Settings | None = None, *, replace: bool = False
) -> SavedJob:
    """Write *config* as it is given, as the job *job_id*; raises ConfigError if the job exists and *replace* is false.

    A directory gets a file of its own for the job; a file with a jobs map is edited in place.
    """
    settings = settings or current()
    check_id(job_id)
    with _locked(settings):
        if is_single_file(settings):
            path = settings.job_config_path
            previous = path.read_bytes() if path.exists() else None
            if job_id in jobs_of(previous, path) and not replace:
                raise ConfigError(f"Job {job_id} already exists")
            written = edited(previous or b"jobs: {}\n", path, job_id, dict(config))
        else:
            path = _file_of(job_id, settings, replace=replace)
            previous = path.read_bytes() if path.exists() else None
            written = _header(path, settings) + dumped(config).encode()
        _replace(path, written)
    return SavedJob(path, previous, written, job_id, settings)


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Other writers of this configuration wait, in this process and in others."""
    folder = settings.config_path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        place = error.filename or folder
        raise ConfigError(
            f"{place} cannot be written ({error.strerror}); check its permissions and the disk"
        ) from error


def _file_of(job_id: str, settings: Settings, *, replace: bool) -> Path:
    folder = settings.job_config_path
    there = [path for path in yaml_files(folder) if path.stem == job_id]
    if there and not replace:
        raise ConfigError(f"Job {job_id} already exists")
    if len(there) > 1:
        raise ConfigError(
            f"{' and '.join(str(path) for path in there)} are both the job {job_id!r}; rename one of them"
        )
    return there[0] if there else folder / f"{job_id}.yaml"


def _header(path: Path, settings: Settings) -> bytes:
    """The comment by which editors find the schema, where there is one."""
    schema = settings.config_path / "schema" / "job.json"
    if not schema.exists():
        return b""
    return f"# yaml-language-server: $schema={os.path.relpath(schema, path.parent)}\n".encode()


def _replace(path: Path, content: bytes | None) -> None:
    """Readers see the old file or the new one, never a part, even across a power cut."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
