"""What lies at a path: a file, a folder's files, or what a glob matches."""

import errno
import glob
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase, translate
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
    """The files at *path* that *pattern* and *exclude* choose; in a folder without *pattern*, the *usual* ones.

    Hidden files are left out. Raises ConfigError where nothing is there to look at, TransientError where looking fails.
    """
    try:
        kind = _kind(path)
        if kind is not None and not stat.S_ISDIR(kind):
            _check_named(path, pattern, exclude)
            return [_found(path)]
        names = _globbed(path) if kind is None else _walk(path, recursive=recursive)
        patterns = (pattern,) if pattern else ("*",) if kind is None else usual
        return [_found(name) for name in filter(_chooser(patterns, exclude), names)]
    except PermissionError as error:
        raise ConfigError(
            f"source.source_path: {error.filename} cannot be listed (permission denied); give this user access to it"
        ) from error
    except OSError as error:
        raise TransientError(f"{error.filename} cannot be listed ({error.strerror}); run again") from error


def _kind(path: str) -> int | None:
    """What lies at *path*; None where nothing does and it is a glob."""
    try:
        return Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        if _GLOB.search(path):
            return None
        raise ConfigError(
            f"source.source_path: {path} does not exist; correct the path, or put the file there"
        ) from error


def _check_named(path: str, pattern: str | None, exclude: str | None) -> None:
    for option, value, chosen in (
        ("file_pattern", pattern, _chooser((pattern or "*",), None)),
        ("exclude_pattern", exclude, _chooser(("*",), exclude)),
    ):
        if not chosen(path):
            raise ConfigError(
                f"source.{option}: {value} leaves out {path}, which source_path names; "
                f"change one of them, or name the folder"
            )


def _walk(folder: str, *, recursive: bool) -> Iterator[str]:
    """The files in *folder*; no folder twice, whatever links lead to it, and by its own name where it has one."""
    waiting, seen = deque([folder]), set[tuple[int, int]]()
    while waiting:
        yield from _below(waiting.popleft(), waiting if recursive else None, seen)


def _below(folder: str, linked: deque[str] | None, seen: set[tuple[int, int]]) -> Iterator[str]:
    place = Path(folder).stat()
    if (place.st_dev, place.st_ino) in seen:
        return
    seen.add((place.st_dev, place.st_ino))
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.name.startswith(".") or (entry.is_symlink() and not _leads_somewhere(entry)):
            continue
        if entry.is_file():
            yield entry.path
        elif linked is not None and entry.is_dir():
            if entry.is_symlink():
                linked.append(entry.path)
            else:
                yield from _below(entry.path, linked, seen)


def _leads_somewhere(link: os.DirEntry[str]) -> bool:
    try:
        link.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return False
        raise
    return True


def _globbed(pattern: str) -> Iterator[str]:
    fixed = Path(pattern)
    while _GLOB.search(str(fixed)):
        fixed = fixed.parent
    if not fixed.is_dir():
        raise ConfigError(f"source.source_path: the folder {fixed} of {pattern} does not exist; correct the path")
    variable = Path(pattern).parts[len(fixed.parts) :]
    if "**" not in variable:
        return (name for name in sorted(glob.glob(pattern)) if Path(name).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = _walk(str(fixed), recursive=True)
    return (name for name in files if _fits(Path(name).parts[len(fixed.parts) :], variable))


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path's *names* are those of a glob, where two stars stand for any number of folders."""
    if not names or not pattern:
        return not names and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _fits(names, pattern[1:]) or _fits(names[1:], pattern)
    return fnmatchcase(names[0], pattern[0]) and _fits(names[1:], pattern[1:])


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
