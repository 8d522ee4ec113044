"""Topologies of any size, written from topology.yml and read by the real loader; pure but for it.

Only the flat shape is kept, on a subnet and pool wide enough, with the product service's replicas
making up the number. So a large topology differs from the user's own in nothing else.
"""

from __future__ import annotations

import yaml

from twinstack.model import topology_file
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import Topology
from twinstack.stack import REPOSITORY

_FILE = REPOSITORY / "topology.yml"
_GROWS = "product-service"
#: Room for 3,800 replicas, which have the same last octets in Docker's network.
_SUBNET, _POOL, _DOCKER_SUBNET = "10.0.0.0/20", "10.0.1.0-10.0.15.239", "172.30.0.0/20"


def sized(namespaces: int) -> Topology:
    """Give a topology of so many namespaces. Raises: TopologyError as the loader refuses it."""
    written = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    others = sum(
        service.get("replicas", 1)
        for name, service in written["services"].items()
        if name != _GROWS
    )
    written["services"][_GROWS]["replicas"] = namespaces - others
    flat = written["shapes"]["flat"]
    written["shapes"] = {"flat": flat}
    flat["segments"]["app"] |= {"subnet": _SUBNET, "pool": _POOL, "docker_subnet": _DOCKER_SUBNET}
    text = yaml.safe_dump(written, sort_keys=False)
    return topology_file.parse(text, f"topology of {namespaces} namespaces")


def plan(namespaces: int, instance: str) -> Plan:
    """Resolve a topology of so many namespaces. Raises: TopologyError."""
    return resolve(sized(namespaces), shape="flat", instance=instance)
