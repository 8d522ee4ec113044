"""The terminal shows each replica in a line of 80 columns, and the exit code judges them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console

from tests.support.bench_fakes import PLAN
from tests.support.readings import NAMES, reading
from twinstack.observe.live import table
from twinstack.observe.live.model import ProbeResult, WorldSample
from twinstack.observe.live.samples import sample


def document(**probes: ProbeResult) -> Mapping[str, Any]:
    now = reading(2.0, probes={name.replace("_", "-"): probe for name, probe in probes.items()})
    return asdict(sample("net", PLAN, 0.0, [reading(1.0), now]))


def test_each_replica_has_a_line_and_details_cut_no_figure_off():
    stuck = "redis down: TimeoutError: Timeout reading from redis-cache:6379, and so on and on"
    world = document(
        redis_cache=ProbeResult("down", "no answer within 2 s"),
        product_service_2=ProbeResult("degraded", stuck, 4.0),
    )
    text = table.text([world, asdict(WorldSample("docker", 0.0, False))], 80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.count("● up") == len(NAMES) - 2
    assert "connections tracked by the host" in " ".join(text.split())
    assert re.search(r"^redis-cache +■ down", text, re.M)
    assert "■ redis-cache: no answer within 2 s\n" in text
    assert re.search(r"^service +state +req/s +mean +probe +CPU +memory +of limit$", text, re.M)
    assert re.search(r"^product-service-2 +▲ degraded .* 4\.0 ms ", text, re.M)
    assert f"▲ product-service-2: {stuck[:50]}" in text
    assert 'docker is not up; run "invoke docker.up"' in text


def test_no_words_of_a_service_control_the_terminal():
    evil = "\x1b]0;pwned\x07\x9b2J" * 20
    worlds = [
        document(redis_cache=ProbeResult("down", evil)),
        asdict(WorldSample("docker", 0.0, False, trouble=evil)),
    ]
    event = {"at": 0.0, "world": "net", "replica": evil, "text": evil, "good": False}
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(table.render(worlds, [event]))
    text = capture.get()
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert text.count("\\x1b]0;pwned\\x07") > 3
    assert max(len(line) for line in table.text(worlds[:1], 80).splitlines()) <= 80


@pytest.mark.parametrize(("spare", "shown"), [(1, 0), (3, 2), (37, 6)])
def test_events_take_no_replicas_line(spare: int, shown: int):
    both_worlds = 2 * (len(NAMES) + 2) + 1
    height = both_worlds + spare
    events = [
        {"at": 0.0, "world": "net", "replica": f"r{n}", "text": "t", "good": False}
        for n in range(9)
    ]
    console = Console(width=80, height=height, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table.fitting(console, [document(), document()], events))
    lines = capture.get().splitlines()
    assert len([line for line in lines if "net r" in line]) == shown
    assert capture.get().count("postgres-db") == 2
    assert len(lines) <= height


@pytest.mark.parametrize("height", [6, 10, 20])
def test_a_small_terminal_says_what_it_hides(height: int):
    console = Console(width=80, height=height, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table.fitting(console, [document(), document()], ()))
    lines = capture.get().rstrip("\n").splitlines()
    both_worlds = 2 * (len(NAMES) + 2) + 1
    assert len(lines) == height - 1
    assert lines[-1].startswith(f"… {both_worlds - len(lines) + 1} lines more: ")


@pytest.mark.parametrize(
    ("worlds", "code"),
    [
        ([("up", "up")], 0),
        ([("up", "degraded")], 0),
        ([("up", "down")], 1),
        ([("down",)], 2),
        ([None], 2),
        ([None, ("up",)], 0),
        ([("up",), ("down",)], 1),
        (["no engine"], 2),
        ([("up",), "no engine"], 2),
        (["no engine", ("up", "down")], 1),
        ([], 2),
    ],
)
def test_exit_code_tells_down_from_unknown(worlds: list[tuple[str, ...] | str | None], code: int):
    documents = [
        {
            "up": isinstance(world, tuple),
            "trouble": world if isinstance(world, str) else "",
            "replicas": [{"state": state} for state in (world if isinstance(world, tuple) else ())],
        }
        for world in worlds
    ]
    assert table.exit_code(documents) == code


def test_figures_are_short():
    assert [table.rate(value) for value in (None, 0.25, 1234.5)] == ["–", "0.2", "1,234"]
    assert [table.milliseconds(value) for value in (None, 2.34, 228.1)] == ["–", "2.3 ms", "228 ms"]
    assert [table.percent(*pair) for pair in ((None, 1), (0.5, 2), (1, None))] == [
        "–",
        "25%",
        "no limit",
    ]
