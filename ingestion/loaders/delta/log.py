"""What a table's log says of its commits, read as it is written.

The driver's own history stops every thread of the process while it waits for a store.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from typing import Any, TypeAlias

from ingestion.loaders.delta.place import Place

__all__ = ["TRANSACTIONS", "Commit", "commit_at", "commits", "known_since"]

Commit: TypeAlias = dict[str, Any]
"""The commitInfo of one version, its version, and under TRANSACTIONS the numbers that it gave to applications; what its
writer did not say is missing."""

TRANSACTIONS = "transactions"

_TOGETHER = 16


def commit_at(place: Place, version: int) -> Commit | None:
    """What the log says of *version*; None where it does not have it, not yet or not any more."""
    try:
        with place.files.open_input_stream(f"_delta_log/{version:020d}.json") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    if not lines:  # never taken for a commit of somebody else's: that would land a load twice
        raise OSError(f"{place.uri}: version {version} of the log is empty")
    found = next((line for line in lines if line.startswith(b'{"commitInfo"')), b"{}")
    numbers = [json.loads(line)["txn"] for line in lines if line.startswith(b'{"txn"')]
    own = {TRANSACTIONS: {item["appId"]: item["version"] for item in numbers}, "version": version}
    return {"timestamp": 0, **json.loads(found).get("commitInfo", {}), **own}


def commits(place: Place, newest: int, after: int = -1) -> Iterator[Commit]:
    """The commits from *newest* down to the one behind *after*, as far as the log has them without a gap."""
    with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="delta-log") as pool:
        for first in range(newest, after, -_TOGETHER):
            versions = range(first, max(first - _TOGETHER, after), -1)
            found = list(takewhile(lambda item: item is not None, pool.map(lambda at: commit_at(place, at), versions)))
            yield from (item for item in found if item is not None)
            if len(found) < len(versions):
                return


def known_since(log: Sequence[Commit]) -> int:
    """From when on (in ms) *log*, newest first, tells of every commit; 0 where it has all of them."""
    return 0 if log[-1]["version"] == 0 else min(int(item["timestamp"]) for item in log)
