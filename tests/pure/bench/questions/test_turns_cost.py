"""Two worlds in turn: what is compared with what, which CPU time counts, what may be said."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from bench.engine.meter import Rest
from bench.engine.windows import Window
from bench.load.wrk import WrkReport
from bench.questions import turns_cost
from bench.questions.turns_cost import AGAIN, DOCKER, NET, Turn, Turns
from twinstack.errors import CannotTell

SENT = WrkReport(100_000, 0, 0, 30.0, 1_000_000, 4.0, 12.0)
REST = Rest({"net": 12_000.0, "docker": 94_000.0}, 250_000.0)
ENTRIES = {
    NET: "10.0.0.10:80",
    AGAIN: "10.0.0.10:80",
    DOCKER: "172.30.0.10:80",
    "net :8080": "127.0.0.1:8080",
    "docker :8088": "127.0.0.1:8088 (docker-proxy)",
    "docker DNAT": "this host's address:8088",
}


def turn(number: int, way: str, rate: float, cpu: float, host: float, client: float = 50) -> Turn:
    """Give two seconds at a rate; microseconds a request."""
    asked = round(rate * 2)
    costs = (round(us * asked) for us in (cpu, host, client))
    window = Window(2.0, asked, *costs)
    rest_us = REST.cpu_us_per_s["docker" if way.startswith("docker") else "net"] * 2
    return Turn(number, way, window, rest_us, held_us=40_000)


def compared(
    docker: float, *, rounds: int = 20, swing: float = 0.0, again: float = 1.0, client: float = 50
) -> Turns:
    """Give rounds in which Docker takes so much more of everything, give or take a `swing`."""
    rng = random.Random(3)
    found = []
    for number in range(1, rounds + 1):
        drift = rng.uniform(0.7, 1.3)  # a round is quick or slow as a whole
        for way in ENTRIES:
            part = docker * (1 + swing * (-1) ** number)
            more = part if way.startswith("docker") else again if way == AGAIN else 1.0
            work = more * drift * rng.uniform(0.998, 1.002)
            found.append(turn(number, way, 4_000 / work, 380 * work, 400 * work, client))
    rng.shuffle(found)  # the order of turns is drawn; only rounds pair them
    loads = dict.fromkeys(ENTRIES, SENT)
    return turns_cost.summarise(ENTRIES, found, loads, REST, seconds=2, seed=7)


def difference(found: Turns, first: str) -> turns_cost.EntryCost:
    return next(one for one in found.differences if one.first == first)


def test_each_way_is_held_against_its_own_world_and_docker_against_the_namespaces() -> None:
    assert turns_cost.pairs(tuple(ENTRIES)) == (
        (AGAIN, NET),
        (DOCKER, NET),
        ("net :8080", NET),
        ("docker :8088", DOCKER),
        ("docker DNAT", DOCKER),
    )


def test_a_few_percent_are_told_although_rounds_differ_by_half() -> None:
    found = compared(1.05)
    docker = difference(found, DOCKER)
    assert docker.rate.verdict == "less"
    assert docker.rate.estimate == pytest.approx(1 / 1.05, abs=0.002)
    assert docker.cpu.estimate == pytest.approx(1.05, abs=0.002)
    assert docker.host.low > 1.045
    # Of its 399 µs it spends 94 ms a second at rest, 3,810 times a second: 24.7; of 380, 3.
    assert docker.work.estimate == pytest.approx((399 - 24.7) / (380 - 3), rel=0.01)
    assert re.match(
        r"docker over namespaces \+20 µs \(\+(19|20) to \+2[01]\)$", turns_cost.extra(docker)
    )
    row = next(
        line for line in turns_cost.text(found).splitlines() if line.startswith("  docker  ")
    )
    assert re.match(r"  docker +−4\.[789] \[−[45]\.\d, −4\.\d\] +−?", row)
    assert re.search(r"\+5\.[01] \[\+(4\.9|5\.0), \+5\.[012]\]$", row)


def test_the_instrument_is_told_from_what_it_measures() -> None:
    def row(found: Turns) -> str:
        return next(
            one for one in turns_cost.text(found).splitlines() if one.startswith("  " + AGAIN)
        )

    assert re.match(r"  namespaces too +\? \[−0\.\d, \+0\.\d\] +\? \[", row(compared(1.05)))
    assert re.match(r"  namespaces too +−2\.0 \[", row(compared(1.05, again=1.02)))


def test_what_cannot_be_told_is_not() -> None:
    found = compared(1.0, swing=0.03)
    row = next(
        line for line in turns_cost.text(found).splitlines() if line.startswith("  docker  ")
    )
    # Beyond rest it spends less, as more of the same is spent at rest.
    assert re.match(r"  docker +\? \[−[^]]+\] +−\S+ \[−[^]]+\] +\? \[−[^]]+\]$", row)
    assert "docker over namespaces inconclusive (−" in turns_cost.extra(difference(found, DOCKER))


def test_the_load_generators_own_work_is_nobodys() -> None:
    less, more = compared(1.05, client=50), compared(1.05, client=500)
    assert difference(less, DOCKER).host == difference(more, DOCKER).host
    assert difference(more, DOCKER).host_us == pytest.approx(400, rel=0.2)


def test_the_text_fits_a_terminal_and_tells_every_way() -> None:
    text = turns_cost.text(compared(1.05))
    assert max(map(len, text.splitlines())) <= 80
    assert "20 rounds of 2 s each, seed 7" in text.replace("\n", " ")
    lines = text.splitlines()
    assert lines.index("over namespaces") < lines.index("over docker")
    for name, entry in ENTRIES.items():
        assert f"\n{name} " in text
        assert name == NET or f"\n  {name} " in text
        assert f"{name} = {entry}" in text.replace("\n", " ")
    assert "600,000 requests, 0 failed." in text.replace("\n", " ")
    assert "at rest (health probes, leases, timers): docker 94.0 ms, net 12.0 ms" in text.replace(
        "\n", " "
    )
    assert "   2.0%\n" in text  # 40 of 2,000 ms


@pytest.mark.parametrize("lost", [replace(SENT, lost=1), replace(SENT, non_2xx=1)])
def test_a_request_that_failed_is_counted(lost: WrkReport) -> None:
    found = compared(1.0)
    assert found.failed == 0
    loads = {**dict.fromkeys(ENTRIES, SENT), DOCKER: lost}
    wrong = turns_cost.summarise(ENTRIES, found.turns, loads, REST, seconds=2, seed=7)
    assert wrong.failed == 1
    assert ", 1 failed." in turns_cost.text(wrong).replace("\n", " ")


def test_a_window_without_an_answer_has_no_ratio() -> None:
    found = list(compared(1.0).turns)
    place = next(place for place, one in enumerate(found) if one.way == DOCKER)
    found[place] = replace(found[place], window=Window(2.0, 0, 1_000, 1_000, 0))
    with pytest.raises(CannotTell, match="a sample is 0"):
        turns_cost.summarise(ENTRIES, found, dict.fromkeys(ENTRIES, SENT), REST, seconds=2, seed=7)
