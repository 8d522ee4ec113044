"""Logs are merged in order of time, one line of each at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from twinstack.observe.logs.choice import LogLine
from twinstack.observe.logs.merge import merged, when


def lines(replica: str, times: Iterable[float | None]) -> list[LogLine]:
    return [LogLine(time, replica, replica, "", "", str(n)) for n, time in enumerate(times)]


@given(st.lists(st.lists(st.floats(0, 100), max_size=50), max_size=5))
def test_all_lines_come_in_order_of_time(logs: list[list[float]]):
    made = [lines(str(number), times) for number, times in enumerate(logs)]
    result = list(merged(made))
    assert [when(line) for line in result] == sorted(time for times in logs for time in times)


def test_lines_of_one_moment_keep_their_order():
    result = merged([lines("a", [1, 1, 1]), lines("b", [1, 1])])
    assert [(line.replica, line.text) for line in result] == [
        ("a", "0"),
        ("a", "1"),
        ("a", "2"),
        ("b", "0"),
        ("b", "1"),
    ]


def test_a_line_without_a_time_comes_first():
    assert [line.time for line in merged([lines("a", [None, 2]), lines("b", [1])])] == [None, 1, 2]


def test_a_log_is_read_as_it_is_needed():
    read = 0

    def endless() -> Iterator[LogLine]:
        nonlocal read
        while True:
            read += 1
            yield lines("a", [float(read)])[0]

    result = merged([endless()])
    assert [next(result).time for _ in range(3)] == [1, 2, 3]
    assert read < 1000
