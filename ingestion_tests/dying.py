"""A process that loads numbers and is killed at one moment: `python -m ingestion_tests.dying type options moment stop`.

With `replay` behind these it brings quarantined rows anew instead.
The moment is reading (half the batches are given), given (all are), or before@N, inside@N, after@N: its commit number
N. It ends with status 0 where that never comes.
"""

import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from ingestion.plugins import Batch
from ingestion_tests.targets import Target, anew, land, listed, numbers, overlapping, replay

# Where each loader sends its commits.
_COMMITS = {
    "iceberg": [
        ("pyiceberg.catalog.sql", "SqlCatalog", "commit_table"),
        ("pyiceberg.catalog.rest", "RestCatalog", "commit_table"),
        ("pyiceberg.catalog.glue", "GlueCatalog", "commit_table"),
    ],
    "delta": [("ingestion.loaders.delta.commit", "", "_commit")],
    "postgres": [("adbc_driver_manager.dbapi", "Connection", "commit")],
}
_ON_ITS_WAY_SECONDS = 0.004


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(kind: str, moment: str) -> None:
    """Let the commit that *moment* names be the last thing this process does."""
    when, _, number = moment.partition("@")
    count = itertools.count()
    for module, owner, name in _COMMITS[kind]:
        place = import_module(module)
        place = getattr(place, owner) if owner else place
        setattr(place, name, _deadly(getattr(place, name), when, int(number), count))


def _deadly(original: Callable[..., Any], when: str, number: int, count: "itertools.count[int]") -> Callable[..., Any]:
    def replacement(*arguments: Any, **options: Any) -> Any:
        if next(count) != number:
            return original(*arguments, **options)
        if when == "before":
            die()
        if when == "inside":
            threading.Thread(target=original, args=arguments, kwargs=options, daemon=True).start()
            time.sleep(_ON_ITS_WAY_SECONDS)
            die()
        original(*arguments, **options)
        die()
        return None

    return replacement


def _until(batches: Iterable[Batch], last: int | None) -> Iterator[Batch]:
    """As many of *batches*, and then the end of this process."""
    yield from itertools.islice(batches, last)
    die()


def main(kind: str, options: str, moment: str, stop: str, what: str = "load") -> None:
    loader = Target.plugin(kind)(table="t", **json.loads(options))
    state = loader.state("a")
    start = state.cursor or 0
    merges = loader.write_mode == "merge"
    batches: Iterable[Batch] = overlapping(start, int(stop)) if merges else numbers(start, int(stop))
    rows = listed(loader) if what == "replay" else []
    if rows:
        batches = anew(rows)
    if "@" in moment:
        arm(kind, moment)
    else:
        batches = _until(batches, 5 if moment == "reading" else None)
    if what == "replay":
        replay(loader, batches, rows, state)
    else:
        land(loader, batches)


if __name__ == "__main__":
    main(*sys.argv[1:])
