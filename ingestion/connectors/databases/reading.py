"""One reading of a database: what is selected, by which path, and the batches that it makes."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from sqlalchemy.sql.elements import ColumnElement

from ingestion.connectors.databases.ahead import Ahead
from ingestion.connectors.databases.choosing import chosen
from ingestion.connectors.databases.columns import Described
from ingestion.connectors.databases.database import Snapshot
from ingestion.connectors.databases.fitting import Fitting
from ingestion.connectors.databases.literals import value
from ingestion.connectors.databases.partitions import must_part, parts_of
from ingestion.connectors.databases.places import Places
from ingestion.connectors.databases.portable import portable
from ingestion.connectors.databases.relation import Relation, Statement
from ingestion.connectors.databases.session import Session, opened, translated
from ingestion.connectors.databases.sizes import cut
from ingestion.connectors.databases.windows import window_of
from ingestion.plugins import Batch, Cursor

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["Reading"]

_AHEAD = 2  # batches of the size that options allow, which wait while others are written


class Reading:
    """What *options* ask for, from *cursor* on, in the types that *known* has settled."""

    def __init__(self, options: "DatabaseConnector", cursor: Cursor, known: pa.Schema | None) -> None:
        self.options = options
        self.database = options.server
        self.cursor = cursor
        self.known = known

    def batches(self) -> Iterator[Batch]:
        """The rows, in one state of the database; the last batch carries the new cursor."""
        with opened(self.database) as session:
            source = self._source(session)
            with self._snapshot(session) as snapshot:  # where servers share none, sessions begin anew to see one state
                window = window_of(session, source.relation, source.described, self.options, self.cursor)
                counted = window.counted()
                parts: Sequence[Sequence[ColumnElement[bool]]] = [window.conditions]
                if self.fast:
                    parts = parts_of(session, source.relation, source.described, self.options, window.conditions)
                else:
                    must_part(session, source.relation, source.described, self.options)
                statements = [self._statement(source, part, window.order) for part in parts]
                streams = [self._stream(session, one, source, n, snapshot) for n, one in enumerate(statements)]
                told = {"read by": self.reader(session), **self.database.told, **window.told, **counted}
                yield from self._held_back(streams, source.fitting.nothing._replace(told=told), window.cursor)

    def places(self) -> Places:
        """Where the rows stand."""
        with opened(self.database) as session:
            return self._source(session).fitting.places

    def at(self, keys: Sequence[pa.Array]) -> Iterator[Batch]:
        """The rows with these values of the key by which `Places` tells them, as they are now; no cursor is carried."""
        with opened(self.database) as session:
            source = self._source(session)
            key = source.relation.column(str(source.fitting.places.key))
            with self._snapshot(session) as snapshot:
                for part in keys:
                    conditions = [key.in_([value(item) for item in part.to_pylist()])]
                    yield from self._stream(session, self._statement(source, conditions), source, 0, snapshot)

    def _source(self, session: Session) -> "_Source":
        relation = Relation(self.options, session.connection.dialect)
        described = self.database.describe(session, relation)
        columns = chosen(described, self.options, self.known)
        places = Places(self.database, relation, described, columns)
        return _Source(relation, described, Fitting(columns, places), self.fast)

    def _held_back(
        self, streams: Sequence[Generator[Batch, None, None]], held: Batch, cursor: Cursor
    ) -> Iterator[Batch]:
        """*held* and all batches of *streams*; the last of them carries *cursor*."""
        rows = 0
        budget = _AHEAD * self.options.max_batch_bytes
        with Ahead(streams, budget, _size, self.database.stops.stop) as batches:
            for batch in batches:
                yield held
                held = batch
                rows += batch.records.num_rows + (batch.rejected.num_rows if batch.rejected is not None else 0)
        yield held._replace(cursor=cursor) if rows else held  # a window without rows is read again, in a longer one

    def _statement(
        self,
        source: "_Source",
        conditions: Sequence[ColumnElement[bool]],
        order: Sequence[ColumnElement[Any]] = (),
    ) -> Statement:
        columns = source.fitting.columns
        witness = self.database.witness([column for column in columns if column.witnessed])
        return source.relation.rows(columns, conditions, fast=source.fast, order=order, witness=witness)

    @contextmanager
    def _snapshot(self, session: Session) -> Iterator[Snapshot | None]:
        """The state that *session* sees, for the connections that read the rows."""
        if not (self.fast and self.database.shares_snapshots):
            yield None
            return
        with translated(self.database):
            snapshot = self.database.snapshot(session.connection)
        with snapshot.held:
            yield snapshot

    def reader(self, session: Session) -> str:
        """The driver that reads the rows, as people are told of it."""
        if self.fast:
            return self.database.fast_driver
        alone = ", by one connection: what serves num_partitions is not installed" if self.options.is_parted else ""
        return f"SQLAlchemy with {session.connection.dialect.driver}{alone}"

    def _stream(
        self, session: Session, statement: Statement, source: "_Source", part: int, snapshot: Snapshot | None
    ) -> Generator[Batch, None, None]:
        before = 0
        for selected in self._selected(session, statement, source, snapshot):
            for piece in cut(selected, self.options.max_batch_bytes):
                yield source.fitting.batch(piece, before, part)
                before += piece.num_rows

    def _selected(
        self, session: Session, statement: Statement, source: "_Source", snapshot: Snapshot | None
    ) -> Iterator[pa.RecordBatch]:
        columns = source.fitting.columns
        with translated(self.database):
            if source.fast:
                yield from self.database.fast(self.database.fast_text(statement), columns, snapshot)
            else:
                driver = session.connection.connection.driver_connection
                with self.database.stops.by(lambda: self.database.cancel(driver)):
                    sizes = self.options.fetch_size, self.options.max_batch_bytes
                    yield from portable(session.connection, statement, columns, *sizes)

    @cached_property
    def fast(self) -> bool:
        """Whether the driver of the fast path is installed."""
        try:
            self.database.load_fast()
        except ImportError:
            return False
        return True


class _Source(NamedTuple):
    relation: Relation
    described: Described
    fitting: Fitting
    fast: bool


def _size(batch: Batch) -> int:
    return int(batch.records.nbytes)
