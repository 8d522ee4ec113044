"""Edits of the repository's topology, and the mistake that they make."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core_cases import WRITTEN, Edit, declared
from twinstack.errors import TopologyError
from twinstack.model.topology import Topology
from twinstack.model.topology_file import parse

#: The path of a flow that an edit appends.
ADDED_FLOW = f"flows.{len(WRITTEN['flows'])}"


def one_mistake(text: str) -> str:
    with pytest.raises(TopologyError) as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    return lines[0]


def service(name: str, **values: Any) -> Edit:
    return lambda d: d["services"][name].update(values)


def limits(**values: Any) -> Edit:
    return lambda d: d["services"]["nginx-lb"]["limits"].update(values)


def segment(shape: str, name: str, **values: Any) -> Edit:
    return lambda d: d["shapes"][shape]["segments"][name].update(values)


def replicated(**counts: int) -> Topology:
    """Give the repository's topology with so many replicas, 1 of each service not named."""
    topology = declared()
    services = {
        name: spec.model_copy(update={"replicas": counts.get(name.replace("-", "_"), 1)})
        for name, spec in topology.services.items()
    }
    return topology.model_copy(update={"services": services})
