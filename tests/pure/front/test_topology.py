"""`invoke topology` exits 0 as declared, 1 when not, 2 when there is nothing to draw."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

import pytest

from front import options, topology
from tests.support.tasks import call
from tests.support.topology_cases import topologies
from twinstack import stack
from twinstack.errors import Missing
from twinstack.observe.picture import collect
from twinstack.observe.picture.model import WorldTopology

AS_DECLARED, WRONG = topologies()[0], topologies()[2]
NOT_UP = Missing("net world", "is not up")
NO_ENGINE = Missing("Docker engine", "does not answer", "", "run: invoke docker.up")
NO_IPTABLES = Missing("iptables-save", "is not installed", "", 'run "make setup"')


@pytest.fixture(name="worlds")
def _worlds(monkeypatch: pytest.MonkeyPatch) -> dict[str, WorldTopology | Missing]:
    """Set what observing each world gives, or raises."""
    observed: dict[str, WorldTopology | Missing] = {"net": NOT_UP, "docker": NO_ENGINE}
    shapes = {"net": None, "docker": None}

    def observe(world: Any) -> WorldTopology:
        result = observed[world.name]
        if isinstance(result, Missing):
            raise result
        return result

    here = SimpleNamespace(
        net=lambda: SimpleNamespace(name="net", absence=lambda: NOT_UP),
        docker=lambda: SimpleNamespace(name="docker"),
        net_shape=lambda: "flat" if observed["net"] is NO_IPTABLES else shapes["net"],
        docker_shape=lambda: shapes["docker"],
    )
    monkeypatch.setattr(stack, "from_environment", lambda: here)
    monkeypatch.setattr(collect, "topology", observe)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return observed


@pytest.mark.parametrize(
    ("net", "docker", "world", "code"),
    [
        (AS_DECLARED, NO_ENGINE, "both", 0),
        (AS_DECLARED, NO_ENGINE, "docker", 2),
        (AS_DECLARED, WRONG, "both", 1),
        (AS_DECLARED, WRONG, "net", 0),
        (NOT_UP, NO_ENGINE, "both", 2),
        (NOT_UP, AS_DECLARED, "both", 0),
        (NOT_UP, AS_DECLARED, "net", 2),
        (NO_IPTABLES, AS_DECLARED, "both", 2),  # it is up, and cannot be looked at
        (AS_DECLARED, NO_ENGINE, "moon", 64),
    ],
)
def test_the_exit_code_tells_what_was_found(
    worlds: dict[str, WorldTopology | Missing],
    capsys: pytest.CaptureFixture[str],
    net: WorldTopology | Missing,
    docker: WorldTopology | Missing,
    world: str,
    code: int,
) -> None:
    worlds.update(net=net, docker=docker)
    assert call(topology.topology, world=world, json=True) == code
    output = capsys.readouterr()
    drawn = code == 0 or (world, docker) == ("both", WRONG)
    assert bool(output.out) == drawn
    assert len(output.err.splitlines()) == (0 if drawn else 1)
    if drawn:
        assert json.loads(output.out)["worlds"]


def test_a_world_is_net_or_docker(worlds: dict[str, WorldTopology | Missing]) -> None:
    assert options.world_of("net").name == "net"
    assert options.world_of("docker").name == "docker"
