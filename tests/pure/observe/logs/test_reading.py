"""A world's logs, read and followed: replicas come, go and restart meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.support.core_cases import planned
from twinstack.model.plan import Plan
from twinstack.namespaces.log_file import LogFile
from twinstack.observe.logs import reading as module
from twinstack.observe.logs.choice import LineFilter, LogLine, chosen
from twinstack.observe.logs.reading import LogReading


class Files:
    """A world whose logs are the files of a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.plan: Plan = planned("flat")

    def log_names(self) -> tuple[str, ...]:
        return tuple(path.stem for path in self.directory.glob("*.log"))

    def log_reader(self, replica: str) -> LogFile:
        return LogFile(self.directory / f"{replica}.log")

    def write(self, replica: str, *times: float) -> None:
        with (self.directory / f"{replica}.log").open("a") as file:
            file.writelines(f'{{"time":{time}}}\n' for time in times)


@pytest.fixture(name="world")
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(module, "_LOOK_S", 0.001)
    monkeypatch.setattr(module, "_NAMES_S", 0.0)
    return Files(tmp_path)


def reading(world: Files, *names: str, last: int | None = None) -> LogReading:
    return LogReading(world, chosen(world.plan, names), LineFilter(), last)


def looks(followed: Iterator[list[LogLine]], number: int = 3) -> list[tuple[str, float | None]]:
    return [(line.replica, line.time) for new in islice(followed, number) for line in new]


def test_all_logs_are_merged(world: Files):
    world.write("nginx-lb", 1, 4)
    world.write("redis-cache", 2, 3)
    world.write("log-rotator", 9)
    made = reading(world)
    assert set(made.open()) == {"nginx-lb", "redis-cache"}
    assert [line.time for line in made.lines(follow=False)] == [1, 2, 3, 4]


def test_each_gives_its_last_lines(world: Files):
    world.write("nginx-lb", 1, 2, 3)
    world.write("redis-cache", 7, 8, 9)
    made = reading(world, last=2)
    made.open()
    assert [line.time for line in made.lines(follow=False)] == [2, 3, 8, 9]


def test_following_gives_what_is_new_and_nothing_twice(world: Files):
    world.write("nginx-lb", 1)
    made = reading(world)
    made.open()
    assert [line.time for line in made.lines(follow=True)] == [1]
    followed = made.follow()
    assert looks(followed) == []
    world.write("nginx-lb", 3)
    world.write("nginx-lb", 2)
    assert looks(followed) == [("nginx-lb", 2), ("nginx-lb", 3)]


def test_a_replica_that_comes_is_followed_from_its_first_line(world: Files):
    world.write("product-service", 1)
    made = reading(world, "product-service")
    made.open()
    list(made.lines(follow=True))
    followed = made.follow()
    looks(followed)
    world.write("product-service-4", 2)
    world.write("redis-cache", 3)  # not asked for
    assert looks(followed) == [("product-service-4", 2)]
    (world.directory / "product-service-4.log").unlink()
    world.write("product-service", 5)
    assert looks(followed) == [("product-service", 5)]


def test_of_a_replica_that_went_before_nothing_old_is_shown(world: Files):
    world.write("product-service", 1)
    world.write("product-service-7", 2)
    made = reading(world)
    assert made.open() == ("product-service",)
    list(made.lines(follow=True))
    followed = made.follow()
    assert looks(followed) == []
    world.write("product-service-7", 3)
    assert looks(followed) == [("product-service-7", 3)]
