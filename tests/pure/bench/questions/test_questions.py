"""Each question names arms that its stage gives, and lifts no more of the policy than it must."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.engine import evidence, loads, published_ports, worlds
from bench.engine.design import Design
from bench.engine.experiment import Experiment
from bench.engine.measured import Measured
from bench.load.ab import AbLoad
from bench.questions import capture, chain, compare, explain
from bench.questions.rungs import stack as rungs_of_stack
from tests.support.bench_fakes import BODY, measured, quiet, served
from twinstack.errors import CannotTell, StepFailed, TwinstackError
from twinstack.observe.fingerprint import read as fingerprint
from twinstack.observe.fingerprint.read import Fingerprint
from twinstack.world import Endpoint, Link

HOW = Design()


@dataclass
class Asked:
    """What a question gave to the engine."""

    stack: Any
    experiments: list[Experiment] = field(default_factory=list)
    arms: list[str] = field(default_factory=list)
    failure: Exception | None = None

    def run(self, experiment: Experiment, how: Design, progress: object) -> Measured:
        """Enter the stage once, and note the arms."""
        self.experiments.append(experiment)
        if self.failure:
            raise self.failure
        with experiment.stage() as arms:
            for arm in arms:
                with arm.during():
                    self.arms.append(arm.name)
        figures = dict.fromkeys(
            ("mean_ms", "p50_ms", "p99_ms", "transferred_bytes", "seconds"), 1.0
        )
        ended = measured(dict.fromkeys(self.arms, 4_000.0), experiment.contrasts)
        for window in ended.windows:
            object.__setattr__(window, "figures", figures)
        return ended

    def __call__(self, question: str, **options: Any) -> Any:
        module = importlib.import_module(f"bench.questions.{question}")
        return module.ask(self.stack, how=HOW, progress=quiet, **options)


@pytest.fixture
def asked(stack: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    asked = Asked(stack)
    for module in (
        capture,
        compare,
        explain,
        rungs_of_stack,
        importlib.import_module("bench.questions.policy"),
    ):
        monkeypatch.setattr(module, "run", asked.run)
    monkeypatch.setattr(worlds, "restart", lambda restarted, progress: None)
    monkeypatch.setattr(published_ports, "host_address", lambda plan: None)
    monkeypatch.setattr(explain, "place_in", lambda *_: None)
    monkeypatch.setattr(explain, "counting", lambda place: lambda arm: arm)
    monkeypatch.setattr(fingerprint, "read", lambda world, *_: Fingerprint(world.name, {}))
    link = Link("br-app", "bridge", "", "app", "")
    with served() as port:
        fake = "tests.support.bench_fakes.RecordedWorld"
        monkeypatch.setattr(f"{fake}.endpoint", lambda *_: Endpoint("127.0.0.1", port))
        monkeypatch.setattr(f"{fake}.links", lambda _: (link,))
        yield asked


LOAD = {"load": AbLoad(requests=50)}


@pytest.mark.parametrize(
    ("question", "options", "arms"),
    [
        ("compare", LOAD, ["namespaces", "docker", "namespaces, ab", "docker, ab"]),
        (
            "compare",
            {**LOAD, "aa": "net"},
            ["namespaces A", "namespaces B", "namespaces A, ab", "namespaces B, ab"],
        ),
        ("policy", {"world": "net"}, ["policy on", "policy off"]),
        ("explain", {}, ["namespaces", "docker"]),
    ],
)
def test_a_question_gives_its_arms_and_the_contrasts_are_of_them(
    asked: Asked, question: str, options: dict[str, Any], arms: list[str]
) -> None:
    outcome = asked(question, **options)
    assert asked.arms == arms
    for contrast in asked.experiments[0].contrasts:
        assert {contrast.first, contrast.second} <= set(arms)
    assert max(map(len, outcome.text.splitlines())) <= 80
    assert outcome.fields["verdict"]["word"] == "equivalent"


def test_a_world_with_another_client_is_not_compared(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loads, "_QUIET_S", 0.1)
    endpoint = asked.stack.net().endpoint("nginx-lb")
    with (
        socket.create_connection((endpoint.address, endpoint.port)),
        pytest.raises(CannotTell, match="is not idle"),
    ):
        asked("compare", **LOAD)
    assert asked.experiments == []


def test_published_ports_are_compared_with_their_own_worlds_edge(asked: Asked) -> None:
    asked("compare", published=True, **LOAD)
    contrasts = {contrast.first: contrast.second for contrast in asked.experiments[0].contrasts}
    assert contrasts["net :1"] == "namespaces"
    assert contrasts["docker :1"] == "docker"


def test_only_the_edges_rate_limit_is_lifted_for_a_comparison(asked: Asked) -> None:
    asked.failure = StepFailed("ab", "exited 1")
    with pytest.raises(StepFailed):
        asked("compare", **LOAD)
    assert asked.stack.policies[:2] == [("net", True, False), ("docker", True, False)]
    assert sorted(asked.stack.policies[2:]) == [("docker", True, True), ("net", True, True)]


def test_the_policy_is_on_again_after_its_question(asked: Asked) -> None:
    asked("policy", world="net")
    assert ("net", False, False) in asked.stack.policies
    assert asked.stack.policies[-1] == ("net", True, True)


def test_both_worlds_are_measured_in_the_shape_that_runs(asked: Asked) -> None:
    asked.stack.set("net", "tiered")
    asked("compare", **LOAD)
    assert asked.stack.actions == ["up docker tiered limited"]


def test_a_world_with_itself_needs_no_other(asked: Asked) -> None:
    asked("compare", aa="docker", **LOAD)
    assert asked.stack.actions == ["up docker flat limited"]
    with pytest.raises(TwinstackError, match="--aa: cannot be moon"):
        asked("compare", aa="moon", **LOAD)


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("compare", {"load": AbLoad(requests=1)}),
        ("capture", {"world": "net", "requests": 1}),
        ("capture", {"world": "moon", "requests": 500}),
        ("policy", {"world": "moon"}),
    ],
)
def test_odd_options_are_refused_before_a_world_is_touched(
    asked: Asked, question: str, options: dict[str, Any]
) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        asked(question, **options)
    assert asked.stack.actions == []


def test_an_explanation_has_the_way_its_named_part_and_the_evidence(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "gather", lambda arms, *_: f"{len(arms)} arms sampled.")
    said = asked("explain", evidence=True).text
    assert "2 arms sampled." in said
    assert "% are in named parts" in said
    assert "None of the known causes shows" in said
    assert "▒" in said or "█" in said
    assert "arms sampled" not in asked("explain").text


def test_dockers_two_ways_to_a_port_are_two_layers() -> None:
    names = ["docker edge", "docker published edge", "docker DNAT edge"]
    known = rungs_of_stack.layers(names, proxied="docker-proxy")
    assert [(layer.first, layer.second) for layer in known] == [
        ("docker published edge", "docker edge"),
        ("docker DNAT edge", "docker edge"),
    ]
    assert "(docker-proxy)" in str(known[0])


def test_a_load_is_spread_over_all_endpoints_and_added_up() -> None:
    with served() as first, served() as second:
        ends = [Endpoint("127.0.0.1", port) for port in (first, second)]
        tally = chain.spread(ends, "/", 61)()
    assert (tally.done, tally.failed) == (61, 0)


@pytest.mark.parametrize(("reads", "proven"), [(61, True), (60, False)])
def test_a_request_that_did_not_read_redis_is_an_error(
    monkeypatch: pytest.MonkeyPatch, reads: int, proven: bool
) -> None:
    counters = iter([{"get": 5}, {"get": 5 + reads}])
    monkeypatch.setattr(chain, "command_calls", lambda *_: next(counters))
    with served(body=BODY) as port:
        end = Endpoint("127.0.0.1", port)
        load: Callable[[], object] = chain.proven("x", chain.spread([end], "/", 61), end, "")
        if proven:
            load()
        else:
            with pytest.raises(CannotTell, match="60 reads for 61 answers"):
                load()
