"""The names that a topology declares, for the shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.core_cases import planned
from tests.support.project import ROOT
from twinstack.model.outline import replica_names


def test_names_are_those_of_the_plan() -> None:
    names = replica_names(ROOT / "topology.yml")
    assert sorted(names) == sorted(replica.name for replica in planned().replicas)
    assert names[-1] == "product-service-3"  # the services first


@pytest.mark.parametrize("text", ["", "services: 3", "{", "services: {web: {replicas: many}}"])
def test_an_unreadable_topology_completes_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "topology.yml").write_text(text)
    assert replica_names(tmp_path / "topology.yml") == []
    assert replica_names(tmp_path / "none.yml") == []
