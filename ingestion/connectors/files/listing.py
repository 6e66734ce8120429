"""What lies at a path: a file, a folder's files, or what a glob matches."""

import glob
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from fnmatch import translate
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


def find(path: str, pattern: str | None, exclude: str | None, *, usual: Sequence[str], recursive: bool) -> list[Found]:
    """The files at *path*; *pattern*, or in a folder the *usual* ones, choose; a file named outright needs none.

    Hidden files are left out. Raises ConfigError where nothing is there to look at.
    """
    patterns: Sequence[str] = (pattern,) if pattern else ()
    try:
        kind = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        if not _GLOB.search(path):
            raise ConfigError(
                f"source.source_path: {path} does not exist; correct the path, or put the file there"
            ) from error
        names = _globbed(path)
    except PermissionError as error:
        raise _forbidden(path) from error
    else:
        if not stat.S_ISDIR(kind):
            return [_found(path)]
        names = _walk(path, recursive=recursive)
        patterns = patterns or usual
    return [_found(name) for name in filter(_chooser(patterns or ("*",), exclude), names)]


def _walk(folder: str, *, recursive: bool) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except PermissionError as error:
        raise _forbidden(folder) from error
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield entry.path
        elif recursive and entry.is_dir():
            yield from _walk(entry.path, recursive=True)


def _forbidden(path: str) -> ConfigError:
    return ConfigError(f"source.source_path: {path} cannot be listed (permission denied); give this user access to it")


def _globbed(pattern: str) -> Iterator[str]:
    fixed = Path(pattern)
    while _GLOB.search(str(fixed)):
        fixed = fixed.parent
    if not fixed.is_dir():
        raise ConfigError(f"source.source_path: the folder {fixed} of {pattern} does not exist; correct the path")
    return (name for name in sorted(glob.glob(pattern, recursive=True)) if Path(name).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern


def _chooser(patterns: Sequence[str], exclude: str | None) -> Callable[[str], bool]:
    """Whether a path's name is wanted; a pattern in small letters fits capitals too."""
    wanted = re.compile("|".join(map(translate, patterns)))
    unwanted = re.compile(translate(exclude)) if exclude else None

    def chosen(path: str) -> bool:
        name = path.rpartition("/")[2]
        fits = wanted.match(name) or wanted.match(name.lower())
        return bool(fits) and not (unwanted and unwanted.match(name))

    return chosen


def _found(path: str) -> Found:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise TransientError(f"{path} was listed and is gone ({error.strerror}); run again") from error
    if not path.isprintable() and not _is_text(path):
        raise ConfigError(f"{path!r}: the file name is not UTF-8; rename the file, or leave it out by exclude_pattern")
    return Found(path, status.st_size, status.st_mtime_ns // 1000)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
