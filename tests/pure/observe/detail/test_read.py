"""A replica is read part by part: each is bounded, and one that fails hides no other."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bench_fakes import FakeWorld
from twinstack.errors import StepFailed
from twinstack.namespaces.log_file import LogFile
from twinstack.observe.detail import read as detail
from twinstack.world import LogReader, LogRecord, LogSearch

NAME = "order-service"


class CountingReader(LogFile):
    """Notes the length of each line that is read."""

    def __init__(self, path: Path, taken: list[int]) -> None:
        super().__init__(path)
        self._taken = taken

    def read(self, search: LogSearch) -> Iterator[LogRecord]:
        for record in super().read(search):
            self._taken.append(len(record.text))
            yield record


class World(FakeWorld):
    """A world that has one log, and nothing else."""

    log: Path
    taken: list[int]

    def log_reader(self, replica: str) -> LogReader:
        return CountingReader(self.log, self.taken)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(detail, "run", refused)
    made = World("net", 1)
    made.log, made.taken = tmp_path / "log", []
    made.log.write_text("")
    return made


def refused(*_words: object, **_options: object) -> None:
    raise StepFailed("iptables-save", "exited with 4", "Permission denied\n(you must be root)")


def request(number: int, path: str = "") -> str:
    fields = {"time": 1000 + number, "level": "info", "request_id": f"r{number}", "took_ms": 1}
    return json.dumps({**fields, "method": "GET", "path": path or f"/{number}", "status": 200})


def test_each_part_that_is_not_known_says_why(world: World):
    found = detail.read(world, NAME, None)
    assert (found.cgroup, found.links, found.policy) == (None, None, None)
    assert found.log == detail.ReplicaLog((), (), 0, 0)
    assert found.troubles == {
        "cgroup": f"{NAME}: has no cgroup of its own: it does not run, or only just started",
        "links": f"{NAME}: has no links that could be read: it has no process",
        "policy": "iptables-save: exited with 4: Permission denied (you must be root)",
    }
    assert found.declared is not None
    assert (found.tier, found.addresses, found.port) == ("backend", ("10.0.0.40",), 5000)


def test_a_process_in_our_own_namespace_is_not_read(world: World):
    found = detail.read(world, NAME, os.getpid())
    assert found.troubles["links"].endswith("it only just started")


def test_requests_and_other_lines_are_told_apart_and_the_newest_are_kept(world: World):
    lines = [text for n in range(100) for text in (request(n), f"[INFO] line {n}")]
    world.log.write_text("\n".join(lines) + "\n")
    found = detail.read(world, NAME, None).log
    assert found is not None
    assert [one.path for one in found.requests] == [f"/{n}" for n in range(60, 100)]
    assert [one.text for one in found.lines] == [f"[INFO] line {n}" for n in range(40, 100)]
    assert {(one.level, one.time) for one in found.lines[-1:]} == {("info", 1099.0)}
    assert found.looked_at == 200


def test_requests_that_only_watch_are_counted_and_left_out(world: World):
    paths = ("/health", "/internal/counts", "/internal/status", "/healthy", "")
    world.log.write_text("".join(f"{request(n, path)}\n" for n, path in enumerate(paths)))
    found = detail.read(world, NAME, None).log
    assert found is not None
    assert ([one.path for one in found.requests], found.checks) == (["/healthy", "/4"], 3)


def test_lines_of_any_size_are_read_in_bounds_and_shown_as_text(world: World):
    hostile = '<script>alert(1)</script> \x1b[2J\x1b]0;x\x07 {"method": \u202e'
    with world.log.open("w") as file:
        for _ in range(30):
            file.write("x" * 1_000_000 + "\n")
        file.write(hostile + "\n")
    found = detail.read(world, NAME, None).log
    assert found is not None
    assert sum(world.taken) < 2_500_000  # of thirty million
    assert found.lines[-1].text.startswith("<script>alert(1)</script> \\x1b[2J\\x1b]0;x\\x07 ")
    assert "\\x202e" in found.lines[-1].text
    assert max(len(one.text) for one in found.lines) == 600


def test_the_first_line_is_read_however_long_it_is():
    judge = detail.until_enough(10)
    verdicts = [judge(LogRecord(text)) for text in ("x" * 99, "y", "z")]
    assert verdicts == ["shown", "too old", "too old"]


def test_links_are_read_with_packets_bytes_errors_and_drops():
    text = (
        "Inter-|   Receive  | Transmit\n face |bytes packets …\n"
        "    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n"
        "  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n"
    )
    assert detail.link_counters(text) == (
        detail.LinkCounters("eth0", 1000, 10, 1, 2, 2000, 20, 3, 4),
    )
