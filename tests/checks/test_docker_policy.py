"""The declared flows are what is open between containers, through restarts and lifting."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.support.docker_steps import ENGINE, INSTANCE, client_of, up
from tests.support.docker_steps import world as small_world
from tests.support.policy_cases import generated, oracle
from tests.support.policy_inside import wrong_lines
from twinstack.compose import apply_policy
from twinstack.compose.world import DockerWorld
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import parse
from twinstack.policy.truth_table import cells
from twinstack.policy.verdict import PolicyVerdict
from twinstack.policy.verify import verify

pytestmark = pytest.mark.docker
SETS = 10
Tell = Callable[[str], None]


def verdict_of(plan: Plan, *, patience: float = 4, wait_s: float = 0.6) -> PolicyVerdict:
    enforcement = apply_policy.enforcement(replace(plan, policy=True), client_of(), ENGINE)
    return verify(plan, enforcement, wait_s=wait_s, patience=patience)


def in_host(*command: str) -> None:
    subprocess.run([*ENGINE.prefix, *command], check=True, capture_output=True)


def world(shape: str) -> DockerWorld:
    """Give the world with all its replicas."""
    return small_world(shape, lambda _written: None)


@pytest.fixture(scope="module")
def flat(images: None) -> Iterator[DockerWorld]:
    made = world("flat")
    up(made)
    yield made
    in_host("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1")  # as the engine had set it


def test_the_truth_table_has_no_wrong_cell_in_either_shape(images: None, tell: Tell) -> None:
    for shape in ("tiered", "flat"):
        made = world(shape)
        up(made)
        assert made.preview().changes == ()
        verdict = verdict_of(made.plan)
        tell(
            f"docker {shape}: {len(verdict.results)} cells, {len(verdict.wrong)} wrong, "
            f"{verdict.rule_count} rules, {verdict.seconds:.1f} s"
        )
        assert wrong_lines(verdict) == []
        assert verdict.seconds < 10


def test_it_holds_through_restarts_and_whatever_the_hosts_switch_says(flat: DockerWorld) -> None:
    in_host("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
    for container in client_of().containers.list():
        if {"redis-cache", "order-service"} & set(container.labels.values()):
            container.restart(timeout=1)
    assert wrong_lines(verdict_of(flat.plan)) == []


def test_what_a_benchmark_opens_is_seen_and_closed_again(flat: DockerWorld) -> None:
    flat.apply_policy(policy=False, rate_limit=False)
    opened = verdict_of(flat.plan, patience=0)
    assert len(opened.wrong) > 300
    assert opened.unfiltered_bridges
    assert [change.step.name for change in flat.preview().changes] == [
        "policy rules: write",
        "policy bridges: write",
    ]
    flat.apply_policy(policy=True, rate_limit=True)
    assert flat.preview().changes == ()
    assert wrong_lines(verdict_of(flat.plan)) == []


def test_generated_flows_are_what_is_open(flat: DockerWorld, full: bool, tell: Tell) -> None:
    """Rules alone are changed: which networks a container is on follows its shape."""
    asked = 0
    seeds = range(SETS if full else 2)
    try:
        for seed in seeds:
            written = generated(seed)
            plan = resolve(parse(written), "flat", INSTANCE)
            DockerWorld(plan, ENGINE).apply_policy(policy=True, rate_limit=True)
            verdict = verdict_of(plan)
            asked += len(verdict.results)
            opened = {
                (c.source, c.destination, c.protocol, c.port)
                for c in cells(plan, "docker")
                if c.open
            }
            assert opened == oracle(written, plan, "docker")
            assert wrong_lines(verdict) == [], seed
    finally:
        flat.apply_policy(policy=True, rate_limit=True)
    tell(f"docker: {len(seeds)} sets of flows, {asked} cells, none wrong")


def test_no_rule_can_be_deleted_unnoticed(flat: DockerWorld, full: bool, tell: Tell) -> None:
    enforcement = apply_policy.enforcement(flat.plan, client_of(), ENGINE)
    lines = [
        line for hook in enforcement.expected_chains for line in (*hook.lines, hook.jump) if line
    ]
    chosen = lines if full else random.Random(3).sample(lines, 5)
    by_probes = by_rules = 0
    for line in chosen:
        in_host("sh", "-ec", f"iptables {line.replace('-A ', '-D ', 1)}")
        verdict = verdict_of(flat.plan, patience=0, wait_s=0.4)
        assert not verdict.passed, line
        by_probes += bool(verdict.wrong)
        by_rules += not verdict.wrong
        flat.apply_policy(policy=True, rate_limit=True)
    tell(
        f"docker: {len(chosen)} of {len(chosen)} deletions noticed: {by_probes} by probes, "
        f"{by_rules} by comparing rules alone"
    )
    assert wrong_lines(verdict_of(flat.plan)) == []
