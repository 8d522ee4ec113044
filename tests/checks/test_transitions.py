"""Whatever the topology was, `up` reaches the declared one, and what did not change is not touched.

Random changes go over the network alone, where a fresh deployment to compare with is a matter
of a second; the stack's own are fewer. `--full`: a hundred and twenty.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.bystanders import bystanders
from tests.support.drive import Driver, driver
from tests.support.kernel_state import kernel_state, unlike
from tests.support.project import ROOT
from tests.support.sandbox import Sandbox
from twinstack.model.names import link_group

pytestmark = [pytest.mark.kernel, pytest.mark.e2e, pytest.mark.timeout(0)]

DECLARED: dict[str, Any] = yaml.safe_load((ROOT / "topology.yml").read_text())


@st.composite
def topologies(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, str]]:
    """Vary what a topology may say: replicas, addresses, subnets, names, limits, flows, ports.

    Gives with it how it is brought up: its shape, with the policy or without.
    """
    made = copy.deepcopy(DECLARED)
    services = made["services"]
    for name, most in (("product-service", 6), ("order-service", 3), ("api-gateway", 2)):
        services[name]["replicas"] = draw(st.integers(1, most))
    if draw(st.booleans()):
        services["order-service"]["addresses"] = [f"10.0.0.{draw(st.integers(90, 120))}"]
    services["order-service"]["limits"]["memory"] = draw(st.sampled_from(["192M", "256M"]))
    if draw(st.booleans()):
        made["flows"].pop(draw(st.integers(3, len(made["flows"]) - 1)))
    made["host_ports"][0]["port"] = draw(st.sampled_from([8080, 8090]))
    if draw(st.booleans()):
        made["shapes"]["tiered"]["segments"]["backend"]["bridge"] = "br-back"
    if draw(st.booleans()):
        flat = made["shapes"]["flat"]["segments"]["app"]
        flat["subnet"], flat["pool"] = "10.0.4.0/24", "10.0.4.128-10.0.4.239"
        for service in services.values():
            service["addresses"] = [
                address.replace("10.0.0.", "10.0.4.") for address in service["addresses"]
            ]
    shape, policy = draw(st.sampled_from(["flat", "tiered"])), draw(st.sampled_from(["on", "off"]))
    return made, {"shape": shape, "policy": policy}


def written(directory: Path, number: int, topology: dict[str, Any]) -> str:
    file = directory / f"topology-{number}.yml"
    file.write_text(yaml.safe_dump(topology))
    return str(file)


def test_every_change_of_the_network_ends_as_a_fresh_deployment(
    host: Sandbox, full: bool, tell: Callable[[str], None], tmp_path: Path
):
    number = 100 if full else 3
    ways: list[tuple[str, ...]] = []

    @settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(before=topologies(), after=topologies())
    def holds(
        before: tuple[dict[str, Any], dict[str, str]], after: tuple[dict[str, Any], dict[str, str]]
    ) -> None:
        first, then = (
            {"topology": written(tmp_path, turn, topology), **how}
            for turn, (topology, how) in enumerate((before, after))
        )
        net.order("down")
        net.order("up", words=first)
        ways.append(tuple(net.steps("up", **then)))
        net.order("up", words=then)
        assert net.steps("up", **then) == []
        reached = kernel_state(host)
        net.order("down")
        net.order("up", words=then)
        assert unlike(reached, kernel_state(host)) == [], ways[-1]
        others.assert_untouched()

    with (
        bystanders(host, group=link_group(host.instance)) as others,
        driver(host, bare=True) as net,
    ):
        holds()
        net.order("down")
    assert len(set(ways)) > number // 2, "most changes took the same steps: little was varied"
    tell(f"net: {len(ways)} random transitions, each as a fresh deployment")


def pids(drive: Driver) -> dict[str, int]:
    by_replica: dict[str, int] = drive.order("pids").answer
    return by_replica


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], set[str]]] = {
    "a replica more": (lambda d: d["services"]["product-service"].update(replicas=4), set()),
    "a replica less": (lambda d: d["services"]["product-service"].update(replicas=2), set()),
    "a limit": (lambda d: d["services"]["order-service"]["limits"].update(memory="256M"), set()),
    "an address": (
        lambda d: d["services"]["order-service"].update(addresses=["10.0.0.41"]),
        {"order-service"},
    ),
    "a flow": (
        lambda d: d["flows"].remove({"from": "order-service", "to": "product-service"}),
        set(),
    ),
    "a port of the host": (lambda d: d["host_ports"][0].update(port=8090), set()),
}


@pytest.fixture(scope="module")
def stack(host: Sandbox, software: None) -> Iterator[Driver]:
    with driver(host, bare=False) as drive:
        drive.order("up")
        yield drive
        drive.order("down")


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_leaves_the_processes_of_others_alone(
    what: str, host: Sandbox, stack: Driver, tmp_path: Path
):
    change, concerned = CHANGES[what]
    topology = copy.deepcopy(DECLARED)
    change(topology)
    stack.order("up")
    before = pids(stack)
    words = {"topology": written(tmp_path, 0, topology)}
    stack.order("up", words=words)
    assert stack.steps("up", **words) == []
    after = pids(stack)
    kept = (set(before) & set(after)) - concerned
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert all(after[name] != before[name] for name in concerned)
    stack.order("up")
    back = pids(stack)
    assert {name: back[name] for name in kept} == {name: before[name] for name in kept}


def test_random_changes_of_the_stack_converge(
    host: Sandbox, stack: Driver, full: bool, tell: Callable[[str], None], tmp_path: Path
):
    number = 20 if full else 1
    turns = []

    @settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(drawn=topologies())
    def converges(drawn: tuple[dict[str, Any], dict[str, str]]) -> None:
        words = {"topology": written(tmp_path, 0, drawn[0]), **drawn[1]}
        states = stack.order("up", words=words).answer
        assert set(states) == {"healthy"}
        assert stack.steps("up", **words) == []
        turns.append(drawn[1]["shape"])

    converges()
    tell(f"net: {len(turns)} random transitions of the whole stack, healthy after each")
