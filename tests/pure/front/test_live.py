"""The tasks that watch: what cannot be is refused in one line, before anything is looked at."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import NoReturn, cast

import pytest

from front import conntrack, dashboard, health
from tests.support.bench_fakes import PLAN
from tests.support.tasks import FakeNet, call
from twinstack.linux.conntrack import ConntrackStats
from twinstack.observe.connections import snapshot
from twinstack.observe.connections.report import Connections, ConntrackTable
from twinstack.observe.live import feed, samples, table
from twinstack.observe.live.model import ProbeResult, Reading, WorldSample


@pytest.mark.parametrize(
    ("task", "words", "expected"),
    [
        (health.health, {"world": "mars"}, "--world: cannot be mars: it is net, docker or both"),
        (
            dashboard.dashboard,
            {"allow_host": [], "port": 70_000},
            "--port: cannot be 70000: it is 0 to 65535",
        ),
        (dashboard.dashboard, {"allow_host": [], "port": -1}, "--port: cannot be -1: it is a port"),
        (
            dashboard.dashboard,
            {"allow_host": ["lab.example", "lab.example:0"]},
            "--allow-host: cannot be lab.example:0: it is HOST or HOST:PORT",
        ),
    ],
)
def test_an_impossible_option_is_refused_first(
    net: FakeNet,
    task: object,
    words: dict[str, object],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(task, **words) == 64
    output = capsys.readouterr().err
    assert output.startswith(expected)
    assert len(output.splitlines()) == 1


def test_without_root_it_is_one_line(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call(health.health, once=True) == 2
    assert call(dashboard.dashboard, allow_host=[]) == 2
    assert capsys.readouterr().err.count("this needs root; run it with sudo") == 2


SNAPSHOT = Connections(
    "net", "flat", ConntrackTable(3, 9, 3, 3, ConntrackStats(0, 0, 0)), (), (), (), (), (), None, ()
)


@pytest.mark.parametrize(("snapshots", "code"), [([SNAPSHOT], 0), ([], 130)])
def test_ctrl_c_leaves_the_last_snapshot_of_connections(
    net: FakeNet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshots: list[Connections],
    code: int,
) -> None:
    def follow(*_: object) -> Iterator[tuple[Connections]]:
        yield from zip(snapshots, strict=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(snapshot, "follow", follow)
    assert call(conntrack.conntrack, seconds=9, json=True) == code
    output = capsys.readouterr()
    if snapshots:
        (shown,) = json.loads(output.out)["worlds"]
        assert shown["table"]["entries"] == 3
    else:
        assert (output.out, output.err) == ("", "stopped by Ctrl-C\n")


def test_a_terminal_is_shown_connections_at_once(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def follow(*_: object) -> Iterator[tuple[Connections]]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(snapshot, "follow", follow)
    monkeypatch.setattr(snapshot, "take", lambda _: SNAPSHOT)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert call(conntrack.conntrack) == 0
    assert "the host's table has 3 of 9" in capsys.readouterr().out


def test_ctrl_c_before_the_first_sample_is_no_verdict() -> None:
    class Nothing:
        ended = False

        def after(self, *_: object) -> NoReturn:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.show(cast(feed.Feed, Nothing()))


def watched(monkeypatch: pytest.MonkeyPatch, *documents: WorldSample) -> None:
    """Let the watchers send these samples, and nothing more."""

    @contextmanager
    def watching(worlds: dict[object, object]) -> Iterator[feed.Feed]:
        fake = feed.Feed(("net", "docker"))
        for sample in documents:
            for _ in range(2):
                fake.take(sample.world, json.dumps(asdict(sample)).encode())
        yield fake

    monkeypatch.setattr(feed, "watching", watching)
    monkeypatch.setattr(health, "_FIRST_SAMPLES_S", 0.1)


HEALTHY = Reading(1.0, probes={replica.name: ProbeResult("up") for replica in PLAN.replicas})
UNHEALTHY = Reading(1.0, probes={**HEALTHY.probes, "redis-cache": ProbeResult("down")})


@pytest.mark.parametrize(
    ("net", "docker", "code", "expected"),
    [
        (HEALTHY, WorldSample("docker", 1.0, False), 0, 'docker is not up; run "invoke docker.up"'),
        (
            HEALTHY,
            WorldSample("docker", 1.0, False, trouble="engine: down"),
            2,
            "docker is unknown: engine: down",
        ),
        (HEALTHY, None, 2, "docker is unknown: its watcher has sent nothing yet"),
        (UNHEALTHY, None, 1, "docker is unknown: its watcher has sent nothing yet"),
        (None, None, 2, "net is unknown: its watcher has sent nothing yet"),
    ],
)
def test_an_unknown_world_is_no_pass(
    net: Reading | None,
    docker: WorldSample | None,
    code: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    first = samples.sample("net", PLAN, 1.0, [net]) if net else None
    watched(monkeypatch, *(sample for sample in (first, docker) if sample))
    assert call(health.health, once=True) == code
    assert expected in capsys.readouterr().out
    assert call(health.health, json=True) == code
    worlds = json.loads(capsys.readouterr().out)["worlds"]
    assert [world["world"] for world in worlds] == ["net", "docker"]


@pytest.mark.parametrize(("lines", "height", "shown"), [(23, 24, 23), (24, 24, 22), (60, 24, 22)])
def test_a_text_longer_than_the_terminal_says_so(lines: int, height: int, shown: int) -> None:
    text = "\n".join(f"line {number}" for number in range(lines))
    kept = conntrack.fitting(text, height).splitlines()
    assert len(kept) < height
    assert kept[shown - 1] == f"line {shown - 1}"
    if lines > shown:
        assert kept[shown:] == [
            f"… {lines - shown} lines more: a taller terminal shows them, --once writes them all"
        ]
