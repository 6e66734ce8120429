"""Streams that are read ahead by threads of their own, while what came before is written."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Generic, TypeVar

from typing_extensions import Self

__all__ = ["Ahead"]

T = TypeVar("T")
_MOMENT = 0.2  # seconds in which a thread that has work, and does not wait for its driver, sees that it is to end


def _nothing() -> None:
    """Streams that never wait need nothing to stop them."""


class Ahead(Generic[T]):
    """Items of *streams*, each read by a thread of its own, ahead of whoever iterates: about *budget* bytes wait.

    Items of one stream stay in order. The first error of any of them is raised, once what came before it was given.
    At the end of the `with` the streams are closed and the threads have ended; *stop* is called, again and again, while
    one of them waits for something that may never come.
    """

    def __init__(
        self,
        streams: Sequence[Generator[T, None, None]],
        budget: int,
        size: Callable[[T], int],
        stop: Callable[[], object] = _nothing,
    ) -> None:
        self._budget = budget
        self._size = size
        self._stop = stop
        self._items: deque[tuple[T, int]] = deque()
        self._waiting = 0  # bytes
        self._error: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._drain, args=(one,), name="read") for one in streams]
        self._running = len(self._threads)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_MOMENT)
            while thread.is_alive():
                self._stop()
                thread.join(_MOMENT)
        self._items.clear()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._error is not None or not self._running)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item, size = self._items.popleft()
                self._waiting -= size
                self._changed.notify_all()
            yield item
            del item  # it is the taker's alone; kept here, it would be in memory beside the next

    def _drain(self, stream: Generator[T, None, None]) -> None:
        try:
            with closing(stream):
                for item in stream:
                    if not self._put(item):
                        break
        except BaseException as error:  # noqa: BLE001 - raised again where the items are read
            with self._changed:
                self._error = self._error or error
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Wait for room; False where nobody wants more."""
        size = self._size(item)
        with self._changed:
            self._changed.wait_for(self._has_room)
            if self._closed or self._error is not None:
                return False
            self._items.append((item, size))
            self._waiting += size
            self._changed.notify_all()
            return True

    def _has_room(self) -> bool:
        return self._closed or self._error is not None or not self._items or self._waiting < self._budget
