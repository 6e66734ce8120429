"""Work done side by side, handed over in order, never far ahead of whoever takes it."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

R = TypeVar("R")
_MOST_WORKERS = 8
_AHEAD = 2


def in_order(tasks: Iterator[Callable[[], R]]) -> Generator[R, None, None]:
    """The results of *tasks* in order; a few tasks are taken and worked on ahead.

    *tasks* is advanced in the caller's thread. An error ends it all; closing this generator waits for
    the tasks under way and drops the rest.
    """
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    pending: deque[Future[R]] = deque()
    executor = ThreadPoolExecutor(workers, thread_name_prefix="parse")
    try:
        for task in tasks:
            pending.append(executor.submit(task))
            if len(pending) >= workers + _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
