"""Questions take worlds as they run, and leave them as they were: shape, limits and absence."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bench.engine import worlds
from bench.engine.worlds import Former, left_as_it_was
from tests.support.bench_fakes import quiet
from twinstack.errors import Locked, NotHealthy, StepFailed, TwinstackError


def test_a_healthy_world_is_taken_as_it_is(stack: Any) -> None:
    stack.set("net", "tiered", limited=False)
    world = worlds.ready(stack, "net", None, quiet)
    assert stack.actions == []
    assert world.plan.shape == "tiered"
    assert world.plan.replicas[0].limits is None


def test_a_world_of_another_shape_is_brought_up_in_the_given_one(stack: Any) -> None:
    stack.set("net", "flat", limited=True)
    worlds.ready(stack, "net", "tiered", quiet)
    assert stack.actions == ["up net tiered limited"]


def test_dockers_lifted_limits_are_seen_and_kept(stack: Any) -> None:
    stack.set("docker", "flat", limited=False)
    assert worlds.as_it_runs(stack, "docker").plan.replicas[0].limits is None
    assert worlds.former(stack, "docker") == Former("flat", False)


@pytest.mark.parametrize(
    ("net", "docker", "given", "expected"),
    [
        ("tiered", None, None, "tiered"),
        (None, "tiered", None, "tiered"),
        ("flat", "tiered", None, "flat"),
        ("flat", "flat", "tiered", "tiered"),
        (None, None, None, "flat"),
    ],
)
def test_one_shape_is_chosen_for_both(
    stack: Any, net: str | None, docker: str | None, given: str | None, expected: str
) -> None:
    stack.set("net", net)
    stack.set("docker", docker)
    both = worlds.asked(stack, "both", given, quiet)
    assert [(world.name, world.plan.shape) for world in both] == [
        ("net", expected),
        ("docker", expected),
    ]


def test_one_world_is_ready_alone_where_it_is_named(stack: Any) -> None:
    assert [world.name for world in worlds.asked(stack, "docker", None, quiet)] == ["docker"]
    assert stack.actions == ["up docker flat limited"]
    with pytest.raises(TwinstackError, match="--world: cannot be moon"):
        worlds.asked(stack, "moon", None, quiet)


def test_a_name_of_no_world_is_refused() -> None:
    assert worlds.named("docker") == "docker"
    with pytest.raises(TwinstackError, match="--world: cannot be moon"):
        worlds.named("moon")


@pytest.mark.parametrize(
    ("shape", "limited", "expected"),
    [
        ("tiered", True, ["up net tiered limited"]),
        ("flat", False, ["up net flat unlimited"]),
        (None, True, ["down net"]),
    ],
)
@pytest.mark.parametrize("raised", [StepFailed("veth", "cannot be created"), KeyboardInterrupt()])
def test_a_world_is_left_as_it_was_whatever_happens(
    stack: Any, shape: str | None, limited: bool, expected: list[str], raised: BaseException
) -> None:
    stack.set("net", shape, limited=limited)
    with pytest.raises(type(raised)), left_as_it_was(stack, "net", quiet):
        raise raised
    assert stack.actions == expected


def test_a_world_that_another_command_changes_is_left_to_it(stack: Any) -> None:
    with pytest.raises(Locked), left_as_it_was(stack, "net", quiet):
        raise Locked("instance t", "is being changed")
    assert stack.actions == []


@pytest.mark.parametrize("policy", [True, False])
def test_what_was_lifted_is_enforced_again_after_a_failure(stack: Any, policy: bool) -> None:
    with pytest.raises(StepFailed), worlds.lifted([stack.net(), stack.docker()], policy=policy):
        raise StepFailed("ab", "exited 1")
    assert stack.policies == [
        ("net", not policy, False),
        ("docker", not policy, False),
        ("docker", True, True),
        ("net", True, True),
    ]


def test_a_restart_ends_the_stateless_services_and_waits_for_new_ones(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = stack.net()
    pids = {replica.name: number for number, replica in enumerate(world.plan.replicas, 100)}
    ended: list[int] = []
    looks = iter(range(3))

    def main_pids() -> dict[str, int]:
        fresh = 1_000 if next(looks, 3) > 1 else 0  # the second look still sees the old ones
        return {name: pid + (fresh if pid in ended else 0) for name, pid in pids.items()}

    monkeypatch.setattr(world, "main_pids", main_pids)
    monkeypatch.setattr(worlds, "_RESTART_POLL_S", 0.0)
    monkeypatch.setattr(os, "kill", lambda pid, _: ended.append(pid))
    stack.set("net", "flat")
    worlds.restart([world], quiet)
    kept = {pids[name] for name in pids if name.startswith(("redis", "postgres", "service-reg"))}
    assert sorted({*ended, *kept}) == sorted(pids.values())
    assert not kept & set(ended)
    assert next(looks, None) is None


@pytest.mark.parametrize("gone", ["before", "meanwhile"])
def test_a_world_that_goes_is_one_clear_error_and_no_traceback(
    stack: Any, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    world = stack.net()
    pids = {replica.name: number for number, replica in enumerate(world.plan.replicas, 100)}

    def kill(_pid: int, _sign: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(world, "main_pids", dict if gone == "before" else lambda: pids)
    monkeypatch.setattr(worlds, "_RESTART_S", 0.0)
    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(NotHealthy, match="the net world: does not restart"):
        worlds.restart([world], quiet)
