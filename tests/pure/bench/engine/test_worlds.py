"""Questions take worlds as they run, and leave them as they were: shape, limits and down-ness."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.engine import comparability, worlds
from bench.engine.comparability import Difference, Likeness
from bench.engine.worlds import Former, left_as_it_was
from bench.questions import catalogue, chain, gateways, layers, startup
from bench.questions import compare as run
from bench.questions.compare import Options
from tests.support.bench_fakes import PLAN, TOPOLOGY, FakeWorld
from twinstack.errors import Locked, StepFailed, TwinstackError
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.reconcile import Progress
from twinstack.state import paths as state
from twinstack.state.journal import Journal, write_journal
from twinstack.state.paths import InstancePaths
from twinstack.world import ServiceState


class Recorded(FakeWorld):
    """A world that notes what is done to it, and keeps the journal as the real one does."""

    def __init__(self, name: WorldName, plan: Plan, stack: FakeStack) -> None:
        super().__init__(name, 1, plan)
        self.stack = stack

    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        self.stack.policed.append((self.name, policy, rate_limit))

    @property
    def _words(self) -> str:
        limits = "limited" if self.plan.replicas[0].limits else "unlimited"
        return f"{self.name} {self.plan.shape} {limits}"

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        self.stack.did.append(f"up {self._words}")
        if self.stack.refuse is not None:
            refusal, self.stack.refuse = self.stack.refuse, None
            raise refusal
        self.stack.set(self.name, self.plan.shape, limited=self.plan.replicas[0].limits is not None)
        return self.status()

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        self.stack.did.append(f"down {self.name}")
        self.stack.set(self.name, None)
        return ()

    def status(self) -> tuple[ServiceState, ...]:
        up = self.stack.shapes[self.name] is not None
        found = super().status()
        return found if up else tuple(replace(one, state="absent", pid=None) for one in found)

    def supervising(self) -> tuple[int, ...]:
        return ()


class FakeStack:
    """As much of a `Stack` as the questions ask."""

    instance = "t"

    def __init__(self) -> None:
        self.did: list[str] = []
        self.policed: list[tuple[str, bool, bool]] = []
        self.shapes: dict[str, str | None] = {"net": None, "docker": None}
        self.limited: dict[str, bool] = {"net": True, "docker": True}
        self.refuse: TwinstackError | None = None

    def set(self, name: str, shape: str | None, *, limited: bool = True) -> None:
        self.shapes[name], self.limited[name] = shape, limited
        if name == "net":
            write_journal(
                InstancePaths(self.instance), Journal(shape=shape, limited=limited or not shape)
            )

    def net(self, shape: str | None = None, *, limited: bool | None = None) -> Recorded:
        limits = self.limited["net"] if limited is None else limited
        return Recorded("net", self.plan(shape or self.shapes["net"], limited=limits), self)

    def docker(self, shape: str | None = None, *, limited: bool = True) -> Recorded:
        return Recorded("docker", self.plan(shape or self.shapes["docker"], limited=limited), self)

    def plan(self, shape: str | None = None, *, limited: bool = True) -> Plan:
        return resolve(TOPOLOGY, shape or "flat", self.instance, limited=limited)

    def net_shape(self) -> str | None:
        return self.shapes["net"]

    def docker_shape(self) -> str | None:
        return self.shapes["docker"]

    def software(self, progress: Progress) -> tuple[None, None]:
        return None, None

    def redis_password(self) -> str:
        return "x"


@pytest.fixture(name="stack")
def _stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(state, "RUN", tmp_path)
    found = FakeStack()
    monkeypatch.setattr(
        "bench.engine.observed.limited", lambda world: ["x"] if found.limited[world.name] else []
    )
    return found


def quiet(line: str) -> None:
    """Take progress and say nothing."""


def asked(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, then: Callable[..., object]
) -> list[tuple[Any, ...]]:
    """Replace a measurement; give the list of what it was asked."""
    calls: list[tuple[Any, ...]] = []

    def stand_in(*arguments: Any, **words: Any) -> object:
        calls.append(arguments)
        return then(*arguments)

    monkeypatch.setattr(module, name, stand_in)
    return calls


def nothing(*_: object) -> object:
    return None


def fails(*_: object) -> object:
    raise StepFailed("ab", "exited 1")


@pytest.fixture(name="chain_asked")
def _chain_asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(chain, "table", lambda found: "the chain's table")
    return asked(monkeypatch, chain, "measure", nothing)


def test_a_healthy_world_is_taken_as_it_is(stack: Any) -> None:
    stack.set("net", "tiered", limited=False)
    world = worlds.ready(stack, "net", None, quiet)
    assert stack.did == []
    assert world.plan.shape == "tiered"
    assert world.plan.replicas[0].limits is None


def test_a_world_of_another_shape_is_brought_up_in_the_wanted_one(stack: Any) -> None:
    stack.set("net", "flat", limited=True)
    worlds.ready(stack, "net", "tiered", quiet)
    assert stack.did == ["up net tiered limited"]


def test_dockers_lifted_limits_are_seen_and_kept(stack: Any) -> None:
    stack.set("docker", "flat", limited=False)
    assert worlds.as_it_runs(stack, "docker").plan.replicas[0].limits is None
    assert worlds.former(stack, "docker") == Former("flat", False)


@pytest.mark.parametrize(
    ("net", "docker", "wanted", "expected"),
    [
        ("tiered", None, None, "tiered"),
        (None, "tiered", None, "tiered"),
        ("flat", "tiered", None, "flat"),
        ("flat", "flat", "tiered", "tiered"),
        (None, None, None, None),
    ],
)
def test_one_shape_is_chosen_for_both(
    stack: Any, net: str | None, docker: str | None, wanted: str | None, expected: str | None
) -> None:
    stack.set("net", net)
    stack.set("docker", docker)
    assert worlds.common_shape(stack, wanted) == expected


def test_comparison_after_a_tiered_world_is_of_two_tiered_worlds(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.set("net", "tiered")
    calls = asked(monkeypatch, run, "compare", nothing)
    catalogue.ask_comparison(stack, Options(), progress=quiet)
    assert stack.did == ["up docker tiered limited"]
    assert [world.plan.shape for world in calls[0][:2]] == ["tiered", "tiered"]


def test_a_world_with_itself_needs_no_other(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, run, "calibrate", nothing)
    catalogue.ask_comparison(stack, Options(), aa="docker", progress=quiet)
    assert stack.did == ["up docker flat limited"]
    with pytest.raises(TwinstackError, match="--aa: cannot be moon"):
        catalogue.ask_comparison(stack, Options(), aa="moon", progress=quiet)


@pytest.mark.parametrize("then", [nothing, fails])
def test_only_the_edges_limit_is_lifted_for_a_comparison_and_comes_back(
    stack: Any, monkeypatch: pytest.MonkeyPatch, then: Callable[..., object]
) -> None:
    seen: list[list[tuple[str, bool, bool]]] = []

    def stand_in(*_: Any) -> object:
        seen.append(list(stack.policed))
        return then()

    monkeypatch.setattr(run, "compare", stand_in)
    with suppress(StepFailed):
        catalogue.ask_comparison(stack, Options(), progress=quiet)
    assert seen == [[("net", True, False), ("docker", True, False)]]
    assert sorted(stack.policed[2:]) == [("docker", True, True), ("net", True, True)]


def test_past_the_edge_the_policy_is_lifted_whole_and_comes_back_after_a_failure(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(monkeypatch, chain, "measure", fails)
    with pytest.raises(StepFailed):
        catalogue.ask_chain(stack, rounds=6, progress=quiet)
    assert stack.policed == [("net", False, False), ("net", True, True)]


def test_layers_are_climbed_in_one_shape_and_only_on_worlds_alike(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.set("net", "tiered")
    calls = asked(monkeypatch, layers, "climb", nothing)
    monkeypatch.setattr(layers, "text", lambda found: "the ladder")
    odd = Likeness("net", "docker", (Difference("CPU limit", "1", "2", "misleads"),))
    monkeypatch.setattr(comparability, "observe", lambda *_, **__: None)
    monkeypatch.setattr(comparability, "compare", lambda *_: odd)
    with pytest.raises(TwinstackError, match="net and docker: are not alike"):
        catalogue.ask_layers(stack, rounds=6, requests=100, progress=quiet)
    assert calls == []
    forced = catalogue.ask_layers(stack, rounds=6, requests=100, force=True, progress=quiet)
    assert [world.plan.shape for world in calls[0][:2]] == ["tiered", "tiered"]
    assert "Forced, although NOT ALIKE:\n- CPU limit: net 1, docker 2" in forced.text
    assert forced.not_alike == ("CPU limit: net 1, docker 2",)


@pytest.mark.usefixtures("chain_asked")
@pytest.mark.parametrize(
    ("shape", "limited", "expected"),
    [
        ("tiered", True, ["up net tiered unlimited", "up net tiered limited"]),
        ("flat", False, ["up net flat unlimited", "up net flat unlimited"]),
        (None, True, ["up net flat unlimited", "down net"]),
    ],
)
def test_chain_leaves_the_world_as_it_was(
    stack: Any, shape: str | None, limited: bool, expected: list[str]
) -> None:
    stack.set("net", shape, limited=limited)
    answer = catalogue.ask_chain(stack, rounds=6, progress=quiet)
    assert stack.did == expected
    assert answer.text == f"the chain's table\n{catalogue.PAST_THE_EDGE}"


@pytest.mark.parametrize("shape", [None, "tiered"])
def test_chain_that_fails_leaves_the_world_as_it_was(
    stack: Any, monkeypatch: pytest.MonkeyPatch, shape: str | None
) -> None:
    stack.set("net", shape)
    asked(monkeypatch, chain, "measure", fails)
    with pytest.raises(StepFailed):
        catalogue.ask_chain(stack, rounds=6, progress=quiet)
    assert stack.shapes["net"] == shape
    assert stack.limited["net"]


def test_chain_whose_first_up_fails_leaves_the_world_as_it_was(stack: Any) -> None:
    stack.set("net", "tiered")
    stack.refuse = StepFailed("veth", "cannot be made")
    with pytest.raises(StepFailed):
        catalogue.ask_chain(stack, rounds=6, progress=quiet)
    assert stack.did == ["up net tiered unlimited", "up net tiered limited"]


def test_world_that_another_command_changes_is_left_to_it(stack: Any) -> None:
    stack.refuse = Locked("instance t", "is being changed")
    with pytest.raises(Locked):
        catalogue.ask_chain(stack, rounds=6, progress=quiet)
    assert stack.did == ["up net flat unlimited"]


def test_ctrl_c_leaves_the_world_as_it_was(stack: Any) -> None:
    stack.set("net", "flat", limited=False)
    with pytest.raises(KeyboardInterrupt), left_as_it_was(stack, "net", quiet):
        raise KeyboardInterrupt
    assert stack.did == ["up net flat unlimited"]


@pytest.mark.usefixtures("chain_asked")
@pytest.mark.parametrize("docker", [None, "flat"])
def test_chain_says_whether_docker_disturbed_it(stack: Any, docker: str | None) -> None:
    stack.set("docker", docker)
    said: list[str] = []
    answer = catalogue.ask_chain(stack, rounds=6, progress=said.append)
    assert ("The Docker world was up meanwhile" in answer.text) == bool(docker)
    assert (said[0] == catalogue.DOCKER_IS_UP) == bool(docker)
    assert max(map(len, answer.text.splitlines())) <= 80


def test_startup_neither_limits_a_world_nor_leaves_it_up(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.set("net", "flat", limited=False)
    real = startup.Startup("net", (1.0,), (1.0,), {"nginx-lb": 1})

    def measure(world: Any, **_: object) -> startup.Startup:
        world.up(timeout_s=1, progress=quiet)
        return real

    monkeypatch.setattr(startup, "measure", measure)
    catalogue.ask_startup(stack, times=1, progress=quiet)
    assert stack.did == [
        "up net flat unlimited",
        "up net flat unlimited",
        "up docker flat limited",
        "down docker",
    ]


def test_bounds_are_told_before_a_world_is_touched(stack: Any) -> None:
    for ask in (
        lambda: catalogue.ask_chain(stack, rounds=5, progress=quiet),
        lambda: catalogue.ask_gateways(stack, rounds=5, progress=quiet),
        lambda: catalogue.ask_layers(stack, rounds=5, requests=100, progress=quiet),
        lambda: catalogue.ask_layers(stack, rounds=6, requests=49, progress=quiet),
        lambda: catalogue.ask_startup(stack, times=0, progress=quiet),
        lambda: catalogue.ask_comparison(stack, Options(rounds=5), progress=quiet),
    ):
        with pytest.raises(TwinstackError, match="cannot be"):
            ask()
    assert stack.did == []


def test_gateways_need_no_world(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, gateways, "measure", nothing)
    monkeypatch.setattr(gateways, "table", lambda found: "three gateways")
    assert catalogue.ask_gateways(stack, rounds=6, progress=quiet).text == "three gateways"
    assert stack.did == []
    assert PLAN.shape == "flat"
