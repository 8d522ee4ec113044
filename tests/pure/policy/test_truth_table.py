"""The truth table asks everything, and expects what is declared."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core_cases import planned
from tests.support.policy_cases import generated, oracle
from twinstack.model.plan import HOST, OUTSIDE, Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import parse
from twinstack.policy.truth_table import cells

WORLDS: tuple[WorldName, ...] = ("net", "docker")


def opened(plan: Plan, world: WorldName) -> set[tuple[str, str, str, int]]:
    return {
        (cell.source, cell.destination, cell.protocol, cell.port)
        for cell in cells(plan, world)
        if cell.open
    }


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_pair_is_asked_by_every_protocol(shape: str, world: WorldName):
    plan = planned(shape)
    asked = {(cell.source, cell.destination) for cell in cells(plan, world)}
    names = {replica.name for replica in plan.replicas}
    for source in names | {HOST, OUTSIDE}:
        assert {(source, other) for other in names - {source}} <= asked
    for name in names:
        assert {(name, HOST), (name, OUTSIDE)} <= asked
    kinds = {cell.protocol for cell in cells(plan, world)}
    assert kinds == {"tcp", "udp", "icmp", "tcp6", "icmp6"}
    assert {22, 9999} <= {cell.port for cell in cells(plan, world) if cell.protocol == "tcp"}
    assert len(set(cells(plan, world))) == len(cells(plan, world))


@pytest.mark.parametrize("world", WORLDS)
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["flat", "tiered"]))
def test_what_is_declared_is_open_and_nothing_else(world: WorldName, seed: int, shape: str):
    written = generated(seed)
    plan = resolve(parse(written), shape)
    assert opened(plan, world) == oracle(written, plan, world)


def test_icmp_and_ipv6_are_always_closed():
    for world in WORLDS:
        closed = [cell for cell in cells(planned(), world) if cell.protocol not in {"tcp", "udp"}]
        assert closed
        assert not any(cell.open for cell in closed)
