from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.support.project import ROOT
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.swarm.exposure import exposure
from twinstack.swarm.facts import TaskFacts
from twinstack.swarm.status import rows
from twinstack.world import ServiceState

PLAN = resolve(load(ROOT / "topology.yml"), "tiered", "t")
BACKEND = str(PLAN.segment("backend").docker_subnet.network_address + 7)


def task(
    service: str, slot: int, node: str, state: str, desired: str = "running", current: bool = True
) -> TaskFacts:
    addresses = ("192.0.2.1", BACKEND)
    return TaskFacts(service, slot, node, state, desired, addresses, "", "", current)


def row_of(name: str, tasks: Sequence[TaskFacts]) -> ServiceState:
    return next(row for row in rows(PLAN, exposure(False), ["host-1"], tasks) if row.name == name)


def test_every_declared_task_has_a_row():
    states = rows(PLAN, exposure(False), ["host-1", "host-2"], ())
    names = [state.name for state in states]
    assert names[:4] == [
        "nginx-lb-host-1",
        "nginx-lb-host-2",
        "api-gateway-host-1",
        "api-gateway-host-2",
    ]
    assert "product-service-3" in names
    assert len(names) == len(PLAN.replicas) + 2  # two services have a task on each host
    assert {state.state for state in states} == {"absent"}


def test_a_tasks_address_is_that_on_its_own_tier():
    row = row_of("product-service-2", [task("product-service", 2, "host-2", "running")])
    assert (row.state, row.where, row.address) == ("healthy", "host-2", BACKEND)


def test_during_a_replacement_the_task_that_runs_counts():
    both = [
        task("product-service", 1, "host-1", "ready", "ready"),
        task("product-service", 1, "host-2", "running"),
    ]
    row = row_of("product-service-1", both)
    assert (row.state, row.where) == ("healthy", "host-2")


@pytest.mark.parametrize(
    ("swarm", "expected"),
    [("failed", "stopped"), ("preparing", "starting"), ("running", "healthy")],
)
def test_a_failed_task_is_stopped_and_a_prepared_one_starting(swarm: str, expected: str):
    row = row_of("order-service-1", [task("order-service", 1, "host-1", swarm)])
    assert row.state == expected


def test_a_task_of_an_older_definition_is_not_waited_for():
    old = task("order-service", 1, "host-1", "running", current=False)
    assert row_of("order-service-1", [old]).state == "starting"
    assert row_of("order-service-1", [old, replace(old, current=True)]).state == "healthy"
