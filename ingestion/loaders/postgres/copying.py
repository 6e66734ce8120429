"""Rows on their way to the server: converted, gathered into large pieces, and sent while the next ones are read."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from ingestion.loaders.postgres.session import Session, quoted
from ingestion.loaders.postgres.types import PgType

__all__ = ["Home", "Sender"]

_PIECE = 16 << 20  # bytes of Arrow data to one COPY, each of which costs a round trip


@dataclass(eq=False)
class Home:
    """A table that takes rows; *schema* is empty for one that lives as long as the session."""

    schema: str
    name: str
    columns: dict[str, PgType] = field(default_factory=dict)
    own: bool = True  # made by this load, thus free to be altered
    made: bool = False

    @property
    def sql(self) -> str:
        """How statements name it."""
        return quoted(self.schema or "pg_temp", self.name)

    def fit(self, session: Session, wanted: dict[str, PgType]) -> None:
        """Have the columns that are *wanted*, as wide as they are."""
        if not self.own:
            return
        if not self.made:
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in wanted.items())
            kind = "TABLE" if self.schema else "TEMPORARY TABLE"
            session.run(f"CREATE {kind} {self.sql} ({columns}){'' if self.schema else ' ON COMMIT DROP'}")
        else:
            new = [f"ADD COLUMN {quoted(name)} {kind}" for name, kind in wanted.items() if name not in self.columns]
            new += [
                f"ALTER COLUMN {quoted(name)} TYPE {kind}"
                for name, kind in wanted.items()
                if self.columns.get(name, kind) != kind
            ]
            if new:
                session.run(f"ALTER TABLE {self.sql} {', '.join(new)}")
        self.made, self.columns = True, dict(wanted)


class Sender:
    """Sends pieces by the one *thread* that uses the session meanwhile, so that the source is read on."""

    def __init__(self, session: Session, thread: ThreadPoolExecutor) -> None:
        self.bytes = 0
        self._session = session
        self._pieces: list[pa.Table] = []
        self._place: tuple[Home, dict[str, PgType]] | None = None
        self._size = 0
        self._thread = thread
        self._under_way: Future[None] | None = None

    def add(self, rows: pa.Table, home: Home, columns: dict[str, PgType]) -> None:
        """Send *rows* to *home* now or together with later ones; it has these *columns* by then."""
        if self._pieces and (self._place != (home, columns) or not self._pieces[0].schema.equals(rows.schema)):
            self._send()
        self._place = home, columns
        self._pieces.append(rows)
        self._size += rows.nbytes
        if self._size >= _PIECE:
            self._send()

    def flush(self) -> None:
        """Have everything sent and taken."""
        self._send()
        self._settle()

    def _send(self) -> None:
        if not self._pieces or self._place is None:
            return
        self._settle()
        piece, self._pieces = pa.concat_tables(self._pieces), []
        self.bytes += self._size
        self._size = 0
        self._under_way = self._thread.submit(self._copy, piece, *self._place)

    def _settle(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def _copy(self, rows: pa.Table, home: Home, columns: dict[str, PgType]) -> None:
        home.fit(self._session, columns)
        self._session.copy(rows, home.schema, home.name)
