"""The names that a topology declares, for the shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.core_cases import declared, planned
from tests.support.project import ROOT
from twinstack.errors import WrongUse
from twinstack.model.outline import outline, replica_names
from twinstack.model.plan import resolve


def test_names_are_those_of_the_plan() -> None:
    names = replica_names(ROOT / "topology.yml")
    assert sorted(names) == sorted(replica.name for replica in planned().replicas)
    assert names[-1] == "product-service-3"  # the services first


@pytest.mark.parametrize("text", ["", "services: 3", "{", "services: {web: {replicas: many}}"])
def test_an_unreadable_topology_completes_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "topology.yml").write_text(text)
    assert replica_names(tmp_path / "topology.yml") == []
    assert replica_names(tmp_path / "none.yml") == []


def test_an_outline_names_what_the_plan_does_in_its_order() -> None:
    found = outline(ROOT / "topology.yml", "lab", {"product-service": 5, "gone": 2})
    assert found is not None
    plan = resolve(declared(), "flat", scale=(("product-service", 5),))
    names = [(replica.name, replica.service) for replica in plan.replicas]
    assert [(replica.name, replica.service) for replica in found.here] == names
    assert found.bridges["flat"] == tuple(segment.bridge for segment in plan.segments)
    assert found.replica("product-service-5").service == "product-service"
    with pytest.raises(WrongUse, match=r"^nobody: is no service: there are nginx-lb, "):
        found.replica("nobody")
