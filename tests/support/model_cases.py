"""Edits of the repository's topology, and the mistake that they make."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.core_cases import WRITTEN, Edit, declared
from twinstack.errors import TopologyError
from twinstack.model.topology import Topology
from twinstack.model.topology_file import parse

#: The path of a flow that an edit appends.
ADDED_FLOW = f"flows.{len(WRITTEN['flows'])}"


def mistakes_in(text: str) -> list[str]:
    """Give the lines for a topology that is refused, without the last one, their number."""
    with pytest.raises(TopologyError) as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    assert "Traceback" not in str(caught.value)
    return lines if len(lines) == 1 else lines[:-1]


def one_mistake(text: str) -> str:
    """Give the only mistake of a topology, without file, line and column."""
    (line,) = mistakes_in(text)
    place, _, mistake = line.partition(": ")
    assert re.fullmatch(r"topology\.yml(:\d+:\d+)?", place), line
    return mistake


def place(text: str, words: str, further: int = 0) -> str:
    """Give the line and column at which words first stand, or so many columns further."""
    before = text[: text.index(words)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10)) + further}"


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
