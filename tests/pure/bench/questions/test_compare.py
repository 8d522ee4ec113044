"""The comparison, run for real by `ab` against small servers on loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.engine import published_ports
from bench.load.ab import AbLoad
from bench.questions import compare
from bench.questions.compare import Options
from tests.support.bench_fakes import TOPOLOGY, FakeWorld, quiet, served
from twinstack.errors import CannotTell, Missing, StepFailed, TwinstackError
from twinstack.model.plan import resolve

WHOLE = Options(AbLoad("/", 40, 4), rounds=6, rest_s=0.05, seed=1)
SMALL = replace(WHOLE, published_every=0, warmups=0)


def test_comparison_measures_both_worlds_in_every_round_and_keeps_all_samples() -> None:
    lines: list[str] = []
    with served() as one, served() as other:
        outcome = compare.compare(
            FakeWorld("net", one), FakeWorld("docker", other), WHOLE, lines.append
        )
    assert [row.name for row in outcome.result.rows][:2] == ["namespaces", "docker"]
    assert [row.trials for row in outcome.result.rows] == [6, 6, 2, 2]
    assert len(outcome.result.samples) == 6 + 6 + 2 + 2
    assert outcome.result.succeeded
    assert all(
        contrast.ratio is not None
        for contrast in outcome.result.contrasts
        if contrast.quantity == "rate"
    )
    assert any(line.startswith("round 6/6: ") for line in lines)


def test_a_slow_world_is_found_slower() -> None:
    with served() as one, served(delay_s=0.05) as other:
        outcome = compare.compare(FakeWorld("net", one), FakeWorld("docker", other), SMALL, quiet)
    assert outcome.result.contrasts[0].sentence.startswith("Namespaces answered")


def test_answers_outside_2xx_lower_the_success_rate_and_the_rate() -> None:
    with served(lambda number: 503 if number % 4 == 3 else 200) as one, served() as other:
        outcome = compare.compare(FakeWorld("net", one), FakeWorld("docker", other), SMALL, quiet)
    assert 0.7 < outcome.result.rows[0].success_part < 0.8
    assert outcome.result.rows[1].success_part == 1.0
    assert not outcome.result.succeeded


def test_connections_closed_without_an_answer_are_no_success() -> None:
    with served(lambda number: 0 if number % 4 == 3 else 200) as one, served() as other:
        outcome = compare.compare(FakeWorld("net", one), FakeWorld("docker", other), SMALL, quiet)
    assert 0.7 < outcome.result.rows[0].success_part < 0.8


def test_a_world_with_itself_gives_a_calibration_line() -> None:
    with served() as port:
        outcome = compare.calibrate(FakeWorld("net", port), SMALL, quiet)
    assert [row.name for row in outcome.result.rows] == ["namespaces A", "namespaces B"]
    assert outcome.text.rpartition("\n\n")[2].startswith("Calibration")


def test_worlds_that_are_not_alike_are_refused_before_any_load() -> None:
    with served() as one, served() as other:
        net, docker = FakeWorld("net", one), FakeWorld("docker", other)
        docker.versions = {"nginx": "1.27"}
        with pytest.raises(TwinstackError, match="software nginx: net 1"):
            compare.compare(net, docker, SMALL, quiet)
        forced = compare.compare(net, docker, replace(SMALL, force=True), quiet)
    assert forced.fields["forced"]
    assert len(forced.not_alike) == 1


def test_a_world_that_is_not_up_is_named_with_its_remedy() -> None:
    with served() as one, served() as other:
        docker = FakeWorld("docker", other)
        docker.state = "unhealthy"
        with pytest.raises(Missing, match=r'run "invoke docker\.up"'):
            compare.compare(FakeWorld("net", one), docker, SMALL, quiet)


def test_an_entry_that_answers_errors_is_not_measured() -> None:
    with served(lambda number: 500) as one, served() as other:  # noqa: SIM117
        with pytest.raises(CannotTell, match="answers 500"):
            compare.compare(FakeWorld("net", one), FakeWorld("docker", other), SMALL, quiet)


def test_another_client_at_work_stops_the_measurement() -> None:
    with (
        served() as one,
        served() as other,
        socket.create_connection(("127.0.0.1", other)),
        pytest.raises(CannotTell, match="is not idle"),
    ):
        compare.compare(FakeWorld("net", one), FakeWorld("docker", other), SMALL, quiet)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(AbLoad(requests=0)), "--requests: cannot be 0"),
        (Options(AbLoad(concurrency=0)), "--concurrency: cannot be 0"),
        (Options(rounds=-1), "--rounds: cannot be -1"),
        (Options(rounds=5), "--rounds: cannot be 5: an interval needs 6 rounds at least"),
        (Options(AbLoad(requests=10)), "--requests: cannot be 10: 50 at once need as many"),
        (Options(AbLoad(path="api")), "--path: cannot be api"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Options, expected: str) -> None:
    world = FakeWorld("net", 1)
    with pytest.raises(TwinstackError, match=expected):
        compare.calibrate(world, options, quiet)


def test_worlds_of_other_shape_are_refused() -> None:
    with served() as one, served() as other:
        docker = FakeWorld("docker", other, resolve(TOPOLOGY, "tiered"))
        with pytest.raises(TwinstackError, match="shape: net flat, docker tiered"):
            compare.compare(FakeWorld("net", one), docker, SMALL, quiet)


def test_dockers_port_by_the_hosts_address_is_a_row_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(published_ports, "host_address", lambda plan: "127.0.0.1")
    with served() as one, served() as other:
        outcome = compare.compare(FakeWorld("net", one), FakeWorld("docker", other), WHOLE, quiet)
    entries = {row.name: row.entry for row in outcome.result.rows}
    assert entries[f"docker :{other}"] == f"127.0.0.1:{other}"
    assert entries["docker DNAT"] == f"this host's address:{other}"
    assert not [name for name in entries if name.startswith("net DNAT")]


def test_a_calibration_says_what_it_means_below_its_table() -> None:
    with served() as port:
        outcome = compare.calibrate(FakeWorld("net", port), SMALL, quiet)
    last = outcome.text.rpartition("\n\n")[2]
    assert last.startswith("Calibration")
    assert max(map(len, last.splitlines())) <= 80


def test_after_a_tiered_world_two_tiered_worlds_are_compared(
    stack: Any, noted: Callable[..., list[tuple[Any, ...]]]
) -> None:
    stack.set("net", "tiered")
    calls = noted(compare, "compare")
    compare.ask(stack, options=Options(), progress=quiet)
    assert stack.actions == ["up docker tiered limited"]
    assert [world.plan.shape for world in calls[0][:2]] == ["tiered", "tiered"]


def test_a_world_with_itself_needs_no_other(
    stack: Any, noted: Callable[..., list[tuple[Any, ...]]]
) -> None:
    noted(compare, "calibrate")
    compare.ask(stack, options=Options(), aa="docker", progress=quiet)
    assert stack.actions == ["up docker flat limited"]
    with pytest.raises(TwinstackError, match="--aa: cannot be moon"):
        compare.ask(stack, options=Options(), aa="moon", progress=quiet)


def test_only_the_edges_rate_limit_is_lifted_for_a_comparison(
    stack: Any, noted: Callable[..., list[tuple[Any, ...]]], failure: StepFailed
) -> None:
    noted(compare, "compare", failure)
    with pytest.raises(StepFailed):
        compare.ask(stack, options=Options(), progress=quiet)
    assert stack.policies[:2] == [("net", True, False), ("docker", True, False)]
    assert sorted(stack.policies[2:]) == [("docker", True, True), ("net", True, True)]


def test_odd_options_are_refused_before_a_world_is_touched(stack: Any) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        compare.ask(stack, options=Options(rounds=5), progress=quiet)
    assert stack.actions == []
