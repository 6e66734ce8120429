"""How a reading that nobody waits for any more ends, although its driver still waits for the server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["Stops"]


class Stops:
    """What ends the statements that run now; a driver says so while it has one, any thread may use it."""

    def __init__(self) -> None:
        self._ways: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    @contextmanager
    def by(self, way: Callable[[], object]) -> Iterator[None]:
        """Until the end of the block, *way* is called, from any thread, to have a statement fail.

        A generator that is closed in the block calls it, too: a server that computes does not see that nobody listens.
        """
        with self._lock:
            self._ways.append(way)
        try:
            yield
        except GeneratorExit:
            with suppress(Exception):  # as below
                way()
            raise
        finally:
            with self._lock:  # so that nothing is stopped that is gone
                self._ways.remove(way)

    def stop(self) -> None:
        """Have everything fail that runs now. What has ended meanwhile, or cannot be stopped, is left as it is."""
        with self._lock:
            for way in self._ways:
                with suppress(Exception):  # any driver's, about a statement whose result nobody wants
                    way()
