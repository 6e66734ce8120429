"""Streams read ahead: in order, within their budget, and without a thread left behind, however it ends."""

import threading
import time
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.connectors.databases.ahead import Ahead
from ingestion.connectors.databases.stopping import Stops

LISTS = st.lists(st.lists(st.integers(1, 9), max_size=12), min_size=1, max_size=4)


class Broken(Exception):
    """What a stream raises."""


class Streams:
    """Streams of (number of the stream, turn, size), some of which break in the end; *ended* are those that closed."""

    def __init__(self, sizes, broken=()):
        self.sizes = sizes
        self.broken = broken
        self.ended = set()
        self.made = 0
        self.all = [self._one(number) for number in range(len(sizes))]

    def _one(self, number):
        try:
            for turn, size in enumerate(self.sizes[number]):
                self.made += 1
                yield number, turn, size
            if number in self.broken:
                raise Broken(number)
        finally:
            self.ended.add(number)


def size(item):
    return item[2]


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "read"]


@given(LISTS, st.integers(1, 40))
def test_every_item_comes_once_and_each_stream_in_its_order(sizes, budget):
    streams = Streams(sizes)
    found = defaultdict(list)
    with Ahead(streams.all, budget, size) as ahead:
        for number, turn, _ in ahead:
            found[number].append(turn)
    assert {number: list(range(len(items))) for number, items in enumerate(sizes) if items} == found
    assert streams.ended == set(range(len(sizes)))
    assert not readers()


@given(LISTS, st.integers(1, 40), st.integers(0, 10))
def test_whoever_leaves_early_leaves_no_thread_and_no_open_stream(sizes, budget, wanted):
    streams = Streams(sizes)
    with Ahead(streams.all, budget, size) as ahead:
        for _, _ in zip(range(wanted), ahead, strict=False):
            pass
    assert not readers()
    begun = {number for number, one in enumerate(streams.all) if one.gi_frame is None}
    assert begun == set(range(len(sizes)))


@given(LISTS, st.integers(1, 40), st.data())
def test_an_error_comes_after_what_its_own_stream_gave(sizes, budget, data):
    broken = data.draw(st.integers(0, len(sizes) - 1))
    found = []
    with pytest.raises(Broken), Ahead(Streams(sizes, {broken}).all, budget, size) as ahead:
        found += ahead
    assert [turn for number, turn, _ in found if number == broken] == list(range(len(sizes[broken])))
    assert not readers()


@given(LISTS, st.integers(1, 40))
def test_what_waits_is_within_the_budget_but_for_one_item_a_stream(sizes, budget):
    with Ahead(Streams(sizes).all, budget, size) as ahead:
        for _ in ahead:
            assert ahead._waiting < budget + 9 * len(sizes)


def test_nobody_reads_further_than_the_budget_allows():
    streams = Streams([[9] * 100])
    with Ahead(streams.all, 20, size) as ahead:
        next(iter(ahead))
        time.sleep(0.1)
        assert streams.made == 1 + 3 + 1  # taken, waiting, and in the hand of the thread


class Server:
    """Answers once it is told to stop, as a driver does whose statement is cancelled."""

    def __init__(self):
        self.asked = threading.Event()
        self.cancelled = threading.Event()
        self.stops = Stops()

    def rows(self):
        yield 1
        with self.stops.by(self.cancelled.set):
            self.asked.set()
            assert self.cancelled.wait(60), "nobody stopped the statement"
            raise Broken("cancelled")


def test_a_thread_that_waits_for_its_server_is_stopped():
    server = Server()
    started = time.monotonic()
    with Ahead([server.rows()], 100, lambda _: 1, server.stops.stop) as ahead:
        assert next(iter(ahead)) == 1
        assert server.asked.wait(60)
    assert time.monotonic() - started < 30
    assert not readers()


def test_the_error_of_one_part_stops_a_part_that_waits_for_its_server():
    server = Server()

    def fails():
        assert server.asked.wait(60)
        raise Broken("of the other part")
        yield

    with (
        pytest.raises(Broken, match="of the other part"),
        Ahead([server.rows(), fails()], 100, lambda _: 1, server.stops.stop) as ahead,
    ):
        list(ahead)
    assert not readers()


def test_what_cannot_be_stopped_keeps_nothing_else_from_it():
    stops, stopped = Stops(), []

    def impossible():
        raise Broken("closed already")

    with stops.by(impossible), stops.by(lambda: stopped.append(1)):
        stops.stop()
    stops.stop()
    assert stopped == [1]


def test_a_stream_that_is_closed_stops_its_statement():
    stops, stopped = Stops(), []

    def rows():
        with stops.by(lambda: stopped.append(1)):
            yield 1

    for _ in rows():
        break  # no more is taken, and the stream is closed
    assert stopped == [1]
    assert list(rows()) == [1]
    assert stopped == [1]
