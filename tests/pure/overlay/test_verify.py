from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.support.core_cases import planned
from twinstack.model.plan import HOST, OUTSIDE
from twinstack.model.topology import HostsSpec
from twinstack.namespaces import policy
from twinstack.overlay import verify
from twinstack.overlay.host_plans import host_plan, spread_over_hosts
from twinstack.policy import verify as policy_verify
from twinstack.policy.probe import ProbeLink
from twinstack.policy.truth_table import Cell, cells

PLAN = planned("tiered")
SPREAD = spread_over_hosts(PLAN, HostsSpec(), 2)
PLANS = [host_plan(PLAN, SPREAD, host) for host in SPREAD.hosts]


def test_machines_ask_every_cell_between_replicas_once_and_those_of_hosts_each(
    monkeypatch: pytest.MonkeyPatch,
):
    questions: list[Cell] = []

    def ask(plan: Any, _seen: object, *, asked: Callable[[Cell], bool], **_: object) -> None:
        questions.extend(filter(asked, cells(plan, "net")))

    monkeypatch.setattr(policy_verify, "verify", ask)
    monkeypatch.setattr(policy, "enforcement", lambda _plan: None)
    for plan in PLANS:
        verify.own_verdict(plan)
    for cell in cells(PLAN, "net"):
        times = 2 if cell.source in {HOST, OUTSIDE} else 1
        assert questions.count(cell) == times, cell


def test_replicas_on_other_machines_are_asked_by_ipv6_too(monkeypatch: pytest.MonkeyPatch):
    elsewhere: dict[str, Mapping[str, Sequence[ProbeLink]]] = {}

    def ask(plan: Any, _seen: object, **options: Any) -> None:
        elsewhere[plan.vtep.host] = options["elsewhere"]

    monkeypatch.setattr(policy_verify, "verify", ask)
    monkeypatch.setattr(policy, "enforcement", lambda _plan: None)
    for plan in PLANS:
        verify.own_verdict(plan)
    for host, links in elsewhere.items():
        assert set(links) == {name for name, where in SPREAD.where.items() if where != host}
    (link,) = {**elsewhere["host-1"], **elsewhere["host-2"]}["product-service-2"]
    assert (link.address, link.ipv6) == ("172.21.0.31", "fe80::54:acff:fe15:1f")
