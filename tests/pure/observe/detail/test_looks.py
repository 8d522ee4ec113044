"""Any number of clients cost one look a second; none waits long, and a wrong name costs nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest

from tests.support.bench_fakes import PLAN, FakeWorld
from tests.support.board import sample
from tests.support.details import made_detail
from twinstack.errors import CannotTell, Missing
from twinstack.observe.detail import looks
from twinstack.observe.detail.read import ReplicaDetail
from twinstack.observe.live.feed import Feed
from twinstack.observe.live.model import WorldSample
from twinstack.world import LocalWorld

NAMES = [replica.name for replica in PLAN.replicas]


def feed() -> Feed:
    found = Feed(("net", "docker"))
    found.take("net", sample("net", PLAN, 1000.0))
    return found


def made(
    read: Callable[[LocalWorld, str, int | None], ReplicaDetail] | None = None,
) -> tuple[looks.Looks, list[str]]:
    asked: list[str] = []

    def reading(world: LocalWorld, name: str, pid: int | None) -> ReplicaDetail:
        asked.append(name)
        assert pid == 100
        return read(world, name, pid) if read else made_detail("net", PLAN, name)

    find = {"net": lambda: FakeWorld("net", 1), "docker": lambda: None}
    return looks.Looks(feed(), find, reading), asked  # type: ignore[arg-type]


def test_a_detail_is_one_document_with_an_hour_of_health():
    found, _ = made()
    document = json.loads(found.document("net", "order-service"))
    assert document["detail"]["name"] == "order-service"
    assert document["health"] == [{"state": "up", "begin": 1000, "end": 1000, "detail": ""}]


def test_fifty_clients_at_once_cost_one_look_for_each_replica():
    running: list[int] = []
    most: list[int] = []

    def slow(_world: LocalWorld, name: str, _pid: int | None) -> ReplicaDetail:
        running.append(1)
        most.append(len(running))
        time.sleep(0.01)
        running.pop()
        return made_detail("net", PLAN, name)

    found, asked = made(slow)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: found.document("net", NAMES[n % len(NAMES)]), range(50)))
    assert len(answers) == 50
    assert sorted(asked) == sorted(NAMES)
    assert max(most) == 1  # of one world one at a time


def test_a_look_is_kept_for_a_moment_and_no_longer(monkeypatch: pytest.MonkeyPatch):
    found, asked = made()
    assert found.document("net", "nginx-lb") == found.document("net", "nginx-lb")
    assert len(asked) == 1
    monkeypatch.setattr(looks, "KEPT_S", -1.0)
    found.document("net", "nginx-lb")
    assert len(asked) == 2


def test_a_world_that_hangs_keeps_one_thread_for_a_replica_and_no_client(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(looks, "WAIT_S", 0.05)
    end = threading.Event()

    def hangs(_world: LocalWorld, name: str, _pid: int | None) -> ReplicaDetail:
        end.wait(20)
        return made_detail("net", PLAN, name)

    found, asked = made(hangs)
    before = threading.active_count()
    try:
        for _ in range(20):
            with pytest.raises(CannotTell, match=r"has not answered within 0\.05 s"):
                found.document("net", "nginx-lb")
        assert len(asked) == 1
        assert threading.active_count() == before + 1
    finally:
        end.set()


@pytest.mark.parametrize(
    ("world", "name", "words"),
    [
        ("net", "redis", r"^redis: is not in the net world: there are nginx-lb, "),
        ("net", "", r"^a replica without a name: is not in the net world"),
        ("net", "<script>\x1b[2J" + "x" * 10_000, r"^<script>\\x1b\[2Jx+…: is not in the net"),
        ("net", "../../etc/passwd", r"^\.\./\.\./etc/passwd: is not in"),
        ("elsewhere", "nginx-lb", r"^elsewhere: is no world of this page: there are net, docker$"),
        ("", "", "^a world without a name: is no world"),
    ],
)
def test_a_wrong_name_is_one_line_and_looks_at_nothing(world: str, name: str, words: str):
    found, asked = made()
    with pytest.raises(Missing, match=words) as caught:
        found.document(world, name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert asked == []


def test_a_world_that_is_down_or_unknown_says_so():
    found, _ = made()
    with pytest.raises(CannotTell, match="docker world: is unknown: nothing has come of it yet"):
        found.document("docker", "nginx-lb")
    down = WorldSample("net", 2000, False)
    found._feed.take("net", json.dumps(asdict(down)).encode())
    with pytest.raises(Missing, match='is not up; run "invoke net\\.up"'):
        found.document("net", "nginx-lb")


def test_a_bug_is_an_answer_too():
    def breaks(_world: LocalWorld, _name: str, _pid: int | None) -> ReplicaDetail:
        raise ZeroDivisionError("a bug")

    found, _ = made(breaks)
    with pytest.raises(CannotTell, match="ZeroDivisionError"):
        found.document("net", "nginx-lb")
