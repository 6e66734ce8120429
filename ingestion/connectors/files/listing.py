"""What lies at a path: a file, a folder's files, or what a glob matches."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from ingestion.errors import ConfigError, TransientError

__all__ = ["Found", "find"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_GLOB = re.compile(r"[*?\[]")


class Found(NamedTuple):
    """One file as a listing shows it."""

    path: str
    size: int
    modified_us: int

    @property
    def modified_at(self) -> datetime:
        """The modification time, in UTC."""
        return _EPOCH + timedelta(microseconds=self.modified_us)


def find(path: str, patterns: Sequence[str], exclude: str | None, *, recursive: bool) -> list[Found]:
    """The files at *path*; patterns choose among the files of a folder or glob, a file named outright needs none.

    Hidden files are left out. Raises ConfigError where nothing is there to look at.
    """
    if Path(path).is_file():
        return [_found(path)]
    if Path(path).is_dir():
        names: Iterator[str] = _walk(path, recursive=recursive)
    elif _GLOB.search(path):
        names = _globbed(path)
    else:
        raise ConfigError(f"source.source_path: {path} does not exist; correct the path, or put the file there")
    wanted = (name for name in names if _wanted(name, patterns, exclude))
    return [_found(name) for name in wanted]


def _walk(folder: str, *, recursive: bool) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except PermissionError as error:
        raise ConfigError(
            f"source.source_path: {folder} cannot be listed (permission denied); "
            f"give this user read access to the folder"
        ) from error
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield entry.path
        elif recursive and entry.is_dir():
            yield from _walk(entry.path, recursive=True)


def _globbed(pattern: str) -> Iterator[str]:
    fixed = Path(pattern)
    while _GLOB.search(str(fixed)):
        fixed = fixed.parent
    if not fixed.is_dir():
        raise ConfigError(f"source.source_path: the folder {fixed} of {pattern} does not exist; correct the path")
    return (name for name in sorted(glob.glob(pattern, recursive=True)) if Path(name).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern


def _wanted(path: str, patterns: Sequence[str], exclude: str | None) -> bool:
    name = path.rpartition("/")[2]
    if exclude is not None and fnmatch(name, exclude):
        return False
    return not patterns or any(fnmatch(name, pattern) or fnmatch(name.lower(), pattern) for pattern in patterns)


def _found(path: str) -> Found:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise TransientError(f"{path} was listed and is gone ({error.strerror}); run again") from error
    return Found(path, status.st_size, status.st_mtime_ns // 1000)
