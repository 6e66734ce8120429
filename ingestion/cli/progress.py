"""How far a run has come, on stderr: a line that changes on a terminal, otherwise a line now and then."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.pipeline import Stream
from ingestion.report import NEXT_TRY

__all__ = ["Watch", "progress"]


class Watch:
    """Knows the stream of the current try; there is none until the run has begun."""

    def __init__(self) -> None:
        self._stream: Stream | None = None

    def started(self, stream: Stream) -> None:
        """Look at *stream* from now on."""
        self._stream = stream

    def line(self) -> str:
        """The state of the run in a few words."""
        if self._stream is None:
            return "starting"
        report = self._stream.report
        if NEXT_TRY in report.told:
            return f"{report.job}: {report.told[NEXT_TRY]}"
        size = f", {report.bytes_read / 1e6:,.0f} MB" if report.bytes_read else ""  # of files; databases tell none
        extra = f", {report.rows_quarantined:,} quarantined" if report.rows_quarantined else ""
        return f"{report.job}: {report.rows_read:,} rows{size} read{extra}"


@contextmanager
def progress(seconds_between_lines: float = 10.0) -> Iterator[Watch]:
    """Show progress while the block runs; whatever is shown on a terminal is gone afterwards."""
    watch = Watch()
    with _bar(watch) if sys.stderr.isatty() else _lines(watch, seconds_between_lines):
        yield watch


@contextmanager
def _bar(watch: Watch) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class State(TextColumn):
        def render(self, task: Task) -> Text:
            del task
            return Text(watch.line())

    columns = (SpinnerColumn(), State(""), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task("run", total=None)
        yield


@contextmanager
def _lines(watch: Watch, seconds: float) -> Iterator[None]:
    done = threading.Event()

    def tell() -> None:
        while not done.wait(seconds):
            sys.stderr.write(f"{watch.line()}\n")
            sys.stderr.flush()

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
