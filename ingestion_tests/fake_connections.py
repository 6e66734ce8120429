"""A connection that answers from a list and keeps what it was sent, for servers that no test can start."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from typing_extensions import Self


@dataclass
class Answer:
    """What a statement that holds *part* is answered; rows may be Arrow's."""

    part: str
    columns: Sequence[Any] = ("answer",)
    rows: Sequence[Sequence[Any]] = ()
    batches: Sequence[pa.RecordBatch] = ()
    error: Exception | None = None


@dataclass
class FakeConnection:
    """A driver's connection; the first of *answers* that fits is given, and nothing for other statements."""

    answers: Sequence[Answer] = ()
    sent: list[str] = field(default_factory=list)
    bound: list[Any] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    version: str = "23.4.0.24.5"
    autocommit: bool = False
    timeout: int = 0
    call_timeout: int = 0
    thin: bool = True
    max_identifier_length: int = 128
    outputtypehandler: Any = None

    def cursor(self, *_: Any, **__: Any) -> "FakeCursor":
        return FakeCursor(self)

    def commit(self) -> None:
        self.answer("COMMIT")

    def rollback(self) -> None:
        self.done.append("rollback")

    def close(self) -> None:
        self.done.append("close")

    def cancel(self) -> None:
        self.done.append("cancel")

    def fetch_df_batches(self, statement: str, *, size: int, fetch_decimals: bool) -> Iterator[Any]:
        """Frames as Oracle's driver gives them."""
        import oracledb

        assert fetch_decimals  # else numbers lose digits
        self.done.append(f"fetch_df_batches({size})")
        for batch in self.answer(statement).batches:
            yield oracledb.from_arrow(batch)

    def answer(self, statement: str, bound: Any = None) -> Answer:
        """What *statement* is answered, which is remembered."""
        self.sent.append(statement)
        self.bound.append(bound)
        found = next((answer for answer in self.answers if answer.part in statement), Answer(""))
        if found.error is not None:
            raise found.error
        return found

    def sent_with(self, part: str) -> list[str]:
        """The statements that hold *part*."""
        return [statement for statement in self.sent if part in statement]


class FakeCursor:
    """A cursor of such a connection."""

    rowcount = -1
    arraysize = 1
    prefetchrows = 1
    outputtypehandler: Any = None

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self.description: Any = None
        self._answer = Answer("")
        self._rows: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, statement: str, *bound: Any) -> None:
        self._answer = self.connection.answer(statement, bound)
        self.description = [(name, *[None] * 6) if isinstance(name, str) else name for name in self._answer.columns]
        self._rows = [SimpleRow(row) for row in self._answer.rows]

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    def fetchmany(self, size: int | None = None) -> list[Any]:
        rows, self._rows = self._rows[:size], self._rows[size or 0 :]
        return rows

    def arrow_reader(self, size: int) -> pa.RecordBatchReader:
        """A reader as Microsoft's driver gives it."""
        self.connection.done.append(f"arrow_reader({size})")
        batches = self._answer.batches
        return pa.RecordBatchReader.from_batches(batches[0].schema if batches else pa.schema([]), batches)

    def setinputsizes(self, *_: Any, **__: Any) -> None:
        """Nothing is bound to a server."""

    def close(self) -> None:
        """Nothing is open."""


class SimpleRow(tuple):
    """A row as drivers give it."""

    __slots__ = ()


def oracle_field(name: str, kind: Any, precision: int = 0, scale: int = 0, size: int | None = None) -> Any:
    """A column as python-oracledb describes it."""
    return _Field((name, kind, size, None, precision, scale, True))


class _Field(tuple):
    """Seven items as DBAPI says, with names."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        names = ("name", "type_code", "display_size", "internal_size", "precision", "scale", "null_ok")
        return self[names.index(name)]
