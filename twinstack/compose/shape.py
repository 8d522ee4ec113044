"""Which shape a Docker world is up in, by the networks that the engine has of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from twinstack.compose.engine import connect
from twinstack.compose.render import INSTANCE_LABEL
from twinstack.model.plan import resolve
from twinstack.model.topology import Topology


def shape_present(instance: str, topology: Callable[[], Topology]) -> str | None:
    """Give the shape whose networks are all there; None without an engine, or one.

    The topology is read only where an engine answers. Raises: as `connect`; TopologyError.
    """
    client = connect()
    if client is None:
        return None
    with closing(client):
        label = f"{INSTANCE_LABEL}={instance}"
        present = {network.name for network in client.networks.list(filters={"label": label})}
    declared = topology()
    for shape in declared.shapes:
        segments = resolve(declared, shape, instance).segments
        if {segment.docker_network for segment in segments} <= present:
            return shape
    return None
