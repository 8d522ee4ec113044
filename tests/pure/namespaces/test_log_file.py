"""A log file is read from its end, in little memory, and followed through rotations."""

from __future__ import annotations

import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinstack.namespaces import log_file
from twinstack.namespaces.log_file import LogFile, lines_backwards
from twinstack.world import LogRecord, LogSearch, LogVerdict

ROTATE = 'cp "$0" "$0.new" && mv "$0.new" "$0.1" && : > "$0"'  # as templates/rotate.sh.j2 does


def rotate(path: Path) -> None:
    subprocess.run(["sh", "-c", ROTATE, str(path)], check=True)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def search(last: int | None = None, *, follow: bool = False, only: str = "") -> LogSearch:
    def judge(record: LogRecord) -> LogVerdict:
        return "shown" if only in record.text else "hidden"

    return LogSearch(judge, last, None, bool(only), follow)


def texts(log: LogFile, wanted: LogSearch | None = None) -> list[str]:
    return [record.text for record in (log.follow() if wanted is None else log.read(wanted))]


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


@given(st.lists(st.text("ab\r\x00é", max_size=12), max_size=30), st.booleans(), st.integers(1, 9))
def test_lines_backwards_are_the_lines_from_the_last(lines: list[str], ended: bool, block: int):
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    data = text.encode()
    expected, offset = [], 0
    for line in data.split(b"\n") if data else []:
        expected.append((offset, line))
        offset += len(line) + 1
    if data.endswith(b"\n"):
        expected.pop()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        patch.setattr(log_file, "_BLOCK", block)
        assert list(lines_backwards(file, len(data))) == expected[::-1]


def test_the_last_lines_come_from_both_parts(path: Path):
    append(path, "1\n2\n3\n")
    rotate(path)
    append(path, "4\n5\n")
    assert texts(LogFile(path), search(1)) == ["5"]
    assert texts(LogFile(path), search(2)) == ["4", "5"]
    assert texts(LogFile(path), search(3)) == ["3", "4", "5"]
    assert texts(LogFile(path), search()) == ["1", "2", "3", "4", "5"]


def test_the_last_lines_are_those_that_are_shown(path: Path):
    append(path, "a\nb1\na\nb2\na\nb3\na\n")
    found = texts(LogFile(path), search(2, only="b"))
    assert [text for text in found if "b" in text] == ["b2", "b3"]
    assert texts(LogFile(path), search(2, only="z")) == []


def test_a_log_that_is_not_there_or_empty_has_no_line(path: Path):
    assert texts(LogFile(path), search(5)) == []
    path.touch()
    assert texts(LogFile(path), search(5)) == []


def test_the_half_of_a_line_is_shown_unless_it_is_followed(path: Path):
    append(path, "one\ntw")
    assert texts(LogFile(path), search()) == ["one", "tw"]
    log = LogFile(path)
    assert texts(log, search(follow=True)) == ["one"]
    assert texts(log) == []
    append(path, "o\nthree\n")
    assert texts(log) == ["two", "three"]


def test_a_search_stops_at_what_is_too_old(path: Path):
    append(path, "".join(f"{number}\n" for number in range(1000)))
    judged = 0

    def judge(record: LogRecord) -> LogVerdict:
        nonlocal judged
        judged += 1
        return "too old" if int(record.text) < 990 else "shown"

    assert texts(LogFile(path), LogSearch(judge)) == [str(number) for number in range(990, 1000)]
    assert judged == 11


def test_following_goes_on_through_a_rotation(path: Path):
    log = LogFile(path)
    append(path, "1\n")
    assert texts(log, search(follow=True)) == ["1"]
    append(path, "2\n")
    rotate(path)
    append(path, "3\n")
    assert texts(log) == ["2", "3"]
    assert texts(log) == []
    append(path, "4\n")
    assert texts(log) == ["4"]


@pytest.mark.parametrize("more", ["", "3\n", "3\n" * 500])
def test_a_rotated_log_that_has_grown_past_the_place_is_seen(path: Path, more: str):
    log = LogFile(path)
    append(path, "first\n")
    assert texts(log, search(follow=True)) == ["first"]
    append(path, "second\n")
    rotate(path)
    append(path, more)
    assert texts(log) == ["second", *more.split()]


def test_after_two_rotations_what_is_still_there_is_shown(path: Path):
    log = LogFile(path)
    append(path, "1\n")
    assert texts(log, search(follow=True)) == ["1"]
    for text in ("lost\n", "kept\n"):
        append(path, text)
        rotate(path)
    append(path, "new\n")
    assert texts(log) == ["kept", "new"]


def test_a_rotation_while_the_lines_are_given_costs_none(path: Path):
    append(path, "".join(f"{number}\n" for number in range(100_000)))
    rotate(path)
    append(path, "".join(f"{number}\n" for number in range(100_000, 200_000)))
    lines = LogFile(path).read(search())
    got = [next(lines).text for _ in range(5)]
    rotate(path)
    append(path, "200000\n")
    got += [record.text for record in lines]
    assert got == [str(number) for number in range(200_001)]


def test_the_memory_of_a_large_log_is_small(path: Path):
    line = "x" * 199 + "\n"
    with path.open("w") as file:
        for _ in range(100):
            file.write(line * 1000)  # 20 MB

    def peak(work: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(lambda: texts(LogFile(path), search(10))) < 1_000_000
    assert peak(lambda: sum(1 for _ in LogFile(path).read(search(50_000)))) < 1_000_000


def test_a_line_without_an_end_is_given_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_file, "_LONGEST", 100)
    monkeypatch.setattr(log_file, "_BLOCK", 64)
    append(path, "y" * 1000)
    assert "".join(texts(LogFile(path), search())) == "y" * 1000
    assert len(texts(LogFile(path), search(1))[-1]) <= 300
    log = LogFile(path)
    texts(log, search(follow=True))
    append(path, "z\n")
    assert "".join(texts(log)).endswith("z")
