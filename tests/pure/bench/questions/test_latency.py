"""Latencies of both worlds: rows, ratios, the highest rate, and no figure from a late generator."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from bench.load.open_loop import OpenLoad, OpenReport
from bench.questions import latency
from bench.questions.latency import Latencies, measure, table
from tests.support.bench_fakes import quiet
from twinstack.errors import CannotTell, StepFailed, TwinstackError

Send = Callable[[OpenLoad], OpenReport]


def server(capacity: float, slower: float = 1.0, lag_us: int = 50, failed: int = 0) -> Send:
    """Answer in 2 to 4 ms, and in more than a second near its capacity."""

    def send(load: OpenLoad) -> OpenReport:
        count = round(load.rate * load.seconds)
        base = 2_000_000 if load.rate > capacity else 2_000
        latencies = [
            round((base + 2_000 * i / count + load.seed % 7) * slower) for i in range(count)
        ]
        latencies[:failed] = [-1] * failed
        return OpenReport(latencies, [lag_us] * count, failed, 0, 0, 30.0)

    return send


def measured(first: Send, second: Send) -> Latencies:
    deployed = []

    def deploy() -> dict[str, float]:
        deployed.append(1)
        return {"net": 2_000.0, "docker": 1_000.0}

    result, _ = measure({"net": first, "docker": second}, deploy, 16, 25, quiet)
    assert result.stopped or len(deployed) == 4  # for 16 rounds
    return result


def test_rates_are_parts_of_the_slower_world_and_docker_is_compared_at_each() -> None:
    result = measured(server(900), server(900, slower=1.2))
    assert [(row.rate, row.world) for row in result.rows] == [
        (rate, world) for rate in (250, 500, 750) for world in ("net", "docker")
    ]
    net, docker = result.rows[-2:]
    assert net.quantiles_us["p99"] is not None
    assert net.quantiles_us["p99"].estimate == pytest.approx(3_980, rel=0.01)
    assert net.over_first == {}
    assert docker.over_first["p99"] is not None
    assert docker.over_first["p99"].estimate == pytest.approx(1.2, rel=0.001)


def test_the_highest_rate_is_each_worlds_own() -> None:
    result = measured(server(900), server(500))
    net, docker = (highest.rate for highest in result.highest)
    assert net is not None
    assert docker is not None
    assert net.low <= 900 <= net.high
    assert docker.low <= 500 <= docker.high


def test_the_table_fits_80_columns_and_says_what_it_is() -> None:
    text = table(measured(server(700, slower=4), server(900, failed=2)))
    assert max(map(len, text.splitlines())) <= 80
    assert "docker over net" in text
    assert re.search(r"250/s +[+−]\d+ % \[[+−]\d+, [+−]\d+\]", text)
    assert "p99 below 25 ms up to" in text


def test_a_row_of_a_late_generator_has_no_figure() -> None:
    late = server(900, lag_us=1_500)
    result = measured(server(900), lambda load: (late if load.rate > 700 else server(900))(load))
    assert [bool(row.quantiles_us) for row in result.rows] == [True] * 5 + [False]
    assert [row.world for row in result.late] == ["docker"]
    assert "–" in table(result).split("\n\n")[0].splitlines()[-1]


def test_a_generator_that_is_always_late_is_refused_and_no_server_blamed() -> None:
    late = server(900, lag_us=1_500)
    with pytest.raises(CannotTell, match="the load generator itself was late"):
        measured(late, late)


@pytest.mark.parametrize("options", [{"seconds": 15}, {"bound_ms": 0}, {"world": "x"}])
def test_options_are_refused_before_a_world_is_looked_at(
    stack: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        latency.ask(stack, progress=quiet, **options)
    assert stack.actions == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), StepFailed("net", "died")])
def test_what_was_measured_until_it_ended_is_kept(stop: BaseException) -> None:
    sent: list[OpenLoad] = []

    def dying(load: OpenLoad) -> OpenReport:
        sent.append(load)
        if len(sent) > enough:
            raise stop
        return server(900)(load)

    enough = 3 * 10 + 1
    result = measured(server(900), dying)
    assert {row.requests for row in result.rows if row.rate == 250} == {10 * 500}
    assert result.highest[0].rate is None
    assert "Ended early" in table(result)
    sent.clear()
    enough = 3
    with pytest.raises(type(stop)):
        measured(server(900), dying)
