"""Small files joined, and what nobody needs any more removed."""

import json
import time
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow.fs as pafs

from ingestion.loaders.delta.files import files_of
from ingestion.loaders.delta.jobs import FOLDER, app_id, sequence
from ingestion.loaders.delta.log import TRANSACTIONS, commits
from ingestion.loaders.delta.place import Place
from ingestion.loaders.delta.settling import settle

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["kept_up"]

_LEAST_HOURS = 7 * 24  # no run takes longer, and readers of old versions have this long
_HOURS = {"week": 7 * 24, "day": 24, "hour": 1, "minute": 1 / 60}  # shorter units are short in any number
_LOG_RETENTION = timedelta(days=30)  # where the table does not say
_SMALL = 4  # files of less than this part of the target size are worth joining
_MANY = 8  # of them in one partition
_BEHIND = 20  # versions since the newest checkpoint, each of which every reader reads


def kept_up(place: Place, table: "DeltaTable", target_size: int) -> dict[str, int]:
    """Do what is due, and say what was done."""
    settled, complete = settle(place, table, _log_retention(table))
    done = {
        **settled,
        "files_joined": _join(table, target_size),
        "files_removed": _vacuum(table),
        "checkpoints_written": _checkpoint(place, table),
        "log_files_removed": _shorten_log(place, table) if complete else 0,
        "state_files_removed": _forget(place, table),
    }
    return {what: count for what, count in done.items() if count}


def _join(table: "DeltaTable", target_size: int) -> int:
    small: dict[str, int] = {}
    for file in files_of(table):
        if file.size < target_size // _SMALL:
            partition = str(sorted(file.partition.items(), key=str))
            small[partition] = small.get(partition, 0) + 1
    if max(small.values(), default=0) < _MANY:
        return 0
    # One partition at a time: memory counts for more than the hours of the night.
    metrics = table.optimize.compact(target_size=target_size, max_concurrent_tasks=1)
    return int(metrics["numFilesRemoved"])


def _vacuum(table: "DeltaTable") -> int:
    own = table.metadata().configuration.get("delta.deletedFileRetentionDuration", "")
    # The driver goes by the table's own bound where it is given none.
    hours = _LEAST_HOURS if not own or _is_short(own) else None
    if not table.vacuum(hours, dry_run=True, full=True):
        return 0
    return len(table.vacuum(hours, dry_run=False, full=True))


def _is_short(interval: str) -> bool:
    """Whether "interval 2 days" and the like is less than what runs and readers are left."""
    return _hours(interval) < _LEAST_HOURS


def _log_retention(table: "DeltaTable") -> timedelta:
    own = table.metadata().configuration.get("delta.logRetentionDuration", "")
    return timedelta(hours=_hours(own)) if own else _LOG_RETENTION


def _hours(interval: str) -> float:
    """Of "interval 2 days" and the like."""
    words = interval.lower().split()
    return float(words[-2]) * _HOURS.get(words[-1].rstrip("s"), 0)


def _checkpoint(place: Place, table: "DeltaTable") -> int:
    try:
        with place.files.open_input_file("_delta_log/_last_checkpoint") as file:
            last = int(json.loads(file.read())["version"])
    except FileNotFoundError:
        last = 0
    if table.version() - last < _BEHIND:
        return 0
    table.create_checkpoint()
    return 1


def _shorten_log(place: Place, table: "DeltaTable") -> int:
    before = _count(place, "_delta_log")
    table.cleanup_metadata()
    return max(before - _count(place, "_delta_log"), 0)


def _count(place: Place, folder: str) -> int:
    return len(place.files.get_file_info(pafs.FileSelector(folder)))


def _forget(place: Place, table: "DeltaTable") -> int:
    """Remove files of jobs' states that no version in the log leads to."""
    history = list(commits(place, int(table.version())))
    oldest = min((int(item["timestamp"]) for item in history), default=0) / 1000
    bound = min(oldest, time.time() - _LEAST_HOURS * 3600)
    found = place.files.get_file_info(pafs.FileSelector(FOLDER, recursive=True, allow_not_found=True))
    doomed = []
    for folder, infos in groupby(sorted(found, key=lambda info: info.path), lambda info: info.path.rpartition("/")[0]):
        app = app_id(unquote(folder.rpartition("/")[2]))
        numbers = {int(item[TRANSACTIONS][app]) for item in history if app in item[TRANSACTIONS]}
        now = table.transaction_version(app)
        # The oldest version in the log leads to what was written down last before it.
        before = sequence(min(numbers)) - 1 if numbers else None
        for info in infos:
            if info.type == pafs.FileType.File and info.mtime.timestamp() < bound:
                number = int(info.base_name.partition(".")[0])
                if number != now and number not in numbers and sequence(number) != before:
                    doomed.append(info.path)
    place.remove(doomed)
    return len(doomed)
