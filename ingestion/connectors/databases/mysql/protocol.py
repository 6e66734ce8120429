"""Rows by MySQL's binary protocol, as the bytes that the server sent: pymysql connects, and makes no objects of it."""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pymysql import Connection, err
from pymysql.constants import COMMAND, CR
from pymysql.protocol import FieldDescriptorPacket as Field
from pymysql.protocol import MysqlPacket

__all__ = ["MARGIN", "Field", "Rows", "answer", "fields_of"]

MARGIN = 64
"""Bytes behind the last row that may be read, whatever they are."""

_LONGEST = 0xFFFFFF  # bytes of one packet; a row of that many goes on in the next
_ROW, _ERROR = 0x00, 0xFF  # first bytes of packets
_UNCURSORED, _ONCE = 0, 1
_LOST = "Lost connection to MySQL server during query"
_HEADER = struct.Struct("<I").unpack_from
_PREPARED = struct.Struct("<xIHH").unpack_from


class Rows(NamedTuple):
    """Rows as they were sent; *data* is overwritten once the next are asked for."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]  # of the rows in *data*, each without the header of its packet

    def parts(self, most: int) -> "Iterator[Rows]":
        """The same rows, *most* of them at a time."""
        for start in range(0, len(self.starts), most):
            yield Rows(self.data, self.starts[start : start + most])


def fields_of(connection: "Connection", statement: str) -> Sequence[Field]:
    """The columns of what *statement* would answer; it is not run."""
    prepared, fields = _prepared(connection, statement)
    _close(connection, prepared)
    return fields


def answer(connection: "Connection", statement: str, room: int) -> tuple[Sequence[Field], Iterator[Rows]]:
    """What *statement* answers, about *room* bytes at a time; nothing else may be asked until all rows are taken.

    Raises pymysql's errors, a lost connection among them: an answer that ends early is never taken for a whole one.
    """
    prepared, fields = _prepared(connection, statement)
    _send(connection, COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", prepared, _UNCURSORED, _ONCE))
    connection._read_packet()  # noqa: SLF001 - as said at _send; how many columns there are
    fields = _definitions(connection, len(fields))
    return fields, _rows(connection, prepared, room)


def _send(connection: "Connection", command: int, what: bytes) -> None:
    # pymysql has no prepared statements, and no public way to send what it does not have.
    connection._execute_command(command, what)  # noqa: SLF001 - as said


def _prepared(connection: "Connection", statement: str) -> tuple[int, Sequence[Field]]:
    _send(connection, COMMAND.COM_STMT_PREPARE, statement.encode())
    prepared, columns, parameters = _PREPARED(connection._read_packet().get_all_data())  # noqa: SLF001 - see _send
    _definitions(connection, parameters)
    return prepared, _definitions(connection, columns)


def _definitions(connection: "Connection", count: int) -> Sequence[Field]:
    fields = [connection._read_packet(Field) for _ in range(count)]  # noqa: SLF001 - see _send
    if count:
        connection._read_packet()  # noqa: SLF001 - see _send; their end
    return fields


def _close(connection: "Connection", prepared: int) -> None:
    _send(connection, COMMAND.COM_STMT_CLOSE, struct.pack("<I", prepared))


def _rows(connection: "Connection", prepared: int, room: int) -> Iterator[Rows]:
    buffer, begin, last = bytearray(room + MARGIN), 0, None
    with memoryview(buffer) as whole:
        filled = _received(connection, whole, ahead=True)
    while last is None:
        is_full = filled == len(buffer) - MARGIN
        if is_full or filled <= room < len(buffer) - MARGIN:  # a row is longer than the buffer, or was
            size = 2 * filled if is_full else room
            buffer = buffer[:filled] + bytes(size - filled + MARGIN)  # another: who has the last rows may hold this one
        with memoryview(buffer) as whole:
            starts: list[int] = []
            begin, last = _scan(whole, 0, filled, starts)
            while last is None and filled < len(buffer) - MARGIN:
                filled += _received(connection, whole[filled : len(buffer) - MARGIN])
                begin, last = _scan(whole, begin, filled, starts)
            if starts:
                yield Rows(np.frombuffer(buffer, np.uint8), np.array(starts, np.int64))
            filled -= begin
            whole[:filled] = bytes(whole[begin : begin + filled])
    if last[0] == _ERROR:
        MysqlPacket(last, "utf8").raise_for_error()
    _close(connection, prepared)


def _received(connection: "Connection", room: memoryview, *, ahead: bool = False) -> int:
    """Bytes from the socket, or what pymysql has read *ahead* from it."""
    try:
        if ahead:
            reader = connection._rfile  # noqa: SLF001 - see _send
            count = reader.readinto(room[: len(reader.peek())])
        else:
            count = connection._sock.recv_into(room)  # noqa: SLF001 - see _send
    except (OSError, ValueError, AttributeError) as error:  # the latter two: it was closed meanwhile
        raise err.OperationalError(CR.CR_SERVER_LOST, f"{_LOST} ({error})") from error
    if not count:
        raise err.OperationalError(CR.CR_SERVER_LOST, _LOST)
    return int(count)


def _scan(data: memoryview, begin: int, end: int, starts: list[int]) -> tuple[int, bytes | None]:
    """Add where whole rows between *begin* and *end* start; return where they end, and the packet that is no row."""
    add, header = starts.append, _HEADER
    while begin + 5 <= end:  # the rows of a table: nothing in this loop may be dear
        size = header(data, begin)[0] & _LONGEST
        after = begin + 4 + size
        if after > end:
            break
        if data[begin + 4] != _ROW:
            return after, bytes(data[begin + 4 : after])
        if size == _LONGEST:
            after = _joined(data, begin, end)
            if not after:
                break
        add(begin + 4)
        begin = after
    return begin, None


def _joined(data: memoryview, begin: int, end: int) -> int:
    """Take out the headers within a row that came in several packets; where it ended, 0 if it is not all there."""
    pieces, at, size = [], begin, _LONGEST
    while size == _LONGEST:
        if at + 4 > end:
            return 0
        size = _HEADER(data, at)[0] & _LONGEST
        pieces.append((at + 4, at + 4 + size))
        at += 4 + size
    if at > end:
        return 0
    to = begin + 4
    for first, last in pieces:
        data[to : to + last - first] = bytes(data[first:last])
        to += last - first
    return at
