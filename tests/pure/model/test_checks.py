"""What the values of a topology say against each other is one clear line for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core_cases import Edit, declared, edited_plan, written
from tests.support.model_cases import ADDED_FLOW, one_mistake, segment, service
from twinstack.errors import TopologyError, TwinstackError
from twinstack.model.checks import mistakes
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import parse

WORLDS: tuple[WorldName, WorldName] = ("net", "docker")


def flow(**pair: str | int) -> Edit:
    return lambda d: d["flows"].append({"from": "nginx-lb", "to": "order-service", **pair})


RULES: dict[str, tuple[Edit, str, str]] = {
    "address outside": (
        service("nginx-lb", addresses=["10.0.1.10"]),
        "services.nginx-lb.addresses.0",
        "outside 10.0.0.0/24",
    ),
    "address of the network": (
        service("nginx-lb", addresses=["10.0.0.0"]),
        "services.nginx-lb.addresses.0",
        "reserved",
    ),
    "address of the gateway": (
        service("nginx-lb", addresses=["10.0.0.1"]),
        "services.nginx-lb.addresses.0",
        "reserved",
    ),
    "address of the broadcast": (
        service("nginx-lb", addresses=["10.0.0.255"]),
        "services.nginx-lb.addresses.0",
        "reserved",
    ),
    "address used twice": (
        service("api-gateway", addresses=["10.0.0.10"]),
        "services.api-gateway.addresses.0",
        "services.nginx-lb has it",
    ),
    "address used twice at home": (
        service("product-service", addresses=["10.0.0.30", "10.0.0.31", "10.0.0.30"]),
        "services.product-service.addresses.2",
        "is used twice",
    ),
    "more replicas than addresses": (
        service("product-service", replicas=200),
        "services.product-service.replicas",
        "197 replicas",
    ),
    "flow to nobody": (flow(to="order-servce"), f"{ADDED_FLOW}.to", "did you mean order-service?"),
    "flow from nobody": (flow(**{"from": "zzz"}), f"{ADDED_FLOW}.from", "'zzz' is no service"),
    "flow to the world": (flow(to="world"), f"{ADDED_FLOW}.to", "'world' is no service"),
    "flow declared twice": (flow(to="api-gateway"), ADDED_FLOW, "declared twice"),
    "a UDP flow without a port": (
        flow(to="api-gateway", protocol="udp"),
        f"{ADDED_FLOW}.port",
        "is missing",
    ),
    "a flow's own port declared twice": (flow(to="api-gateway", port=3000), ADDED_FLOW, "twice"),
    "host port of no service": (
        lambda d: d["host_ports"][0].update(service="nobody"),
        "host_ports.0.service",
        "'nobody' is no service",
    ),
    "host port used twice": (
        lambda d: d["host_ports"][1].update(port=8080),
        "host_ports.1.port",
        "host_ports.0 has it",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_contradiction_is_one_clear_line_with_its_path_and_remedy(name: str):
    edit, path, fragment = RULES[name]
    line = one_mistake(written(edit))
    assert line.startswith(f"{path}: "), line
    assert fragment in line
    assert "; " in line


def test_the_committed_topology_contradicts_itself_nowhere():
    assert mistakes(declared()) == []


def ping_of_another(d: dict[str, Any]) -> None:
    d["services"]["order-service"]["health"] = {"ping": "redis"}


def two_subnets(d: dict[str, Any]) -> None:
    """Declare addresses in two subnets, of which one has the host numbers of the other."""
    d["shapes"] = {
        "flat": {
            "segments": {
                "left": {
                    "bridge": "br-left",
                    "subnet": "10.1.0.0/24",
                    "docker_subnet": "172.30.8.0/24",
                    "tiers": ["frontend", "database"],
                },
                "right": {
                    "bridge": "br-right",
                    "subnet": "10.2.0.0/24",
                    "docker_subnet": "172.30.9.0/24",
                    "tiers": ["backend"],
                },
            }
        },
        "one": {"segments": d["shapes"]["flat"]["segments"]},
    }
    for spec in d["services"].values():
        net = "10.2.0" if spec["tier"] == "backend" else "10.1.0"
        spec["addresses"] = [address.replace("10.0.0", net) for address in spec["addresses"]]
    d["services"]["service-registry"]["addresses"] = ["10.2.0.10"]


#: What would go wrong later, if it were accepted.
LATE: dict[str, Edit] = {
    "ping of another store": ping_of_another,
    "bridge with a dot": segment("flat", "app", bridge="br.app"),
    "bridge that iptables reads as a pattern": segment("flat", "app", bridge="br-app+"),
    "bridge with a quote": segment("flat", "app", bridge='br"app'),
    "bridge named as a link of ours": segment("flat", "app", bridge="ve-nginx-lb"),
    "segment that names no network": lambda d: d["shapes"]["flat"].update(
        segments={"a/ b": d["shapes"]["flat"]["segments"]["app"]}
    ),
    "pool with the gateway in it": segment("flat", "app", pool="10.0.0.0-10.0.0.200"),
    "tier too small for its host numbers": segment("tiered", "backend", subnet="172.21.0.0/28"),
    "docker subnet too small": segment("flat", "app", docker_subnet="172.30.0.0/28"),
    "worlds of two shapes in one subnet": segment("tiered", "backend", docker_subnet="10.0.0.0/24"),
    "loopback as a subnet": segment("tiered", "backend", subnet="127.0.0.0/24"),
    "two replicas with one host number": two_subnets,
    "quota below the kernel's least": lambda d: d["services"]["nginx-lb"]["limits"].update(
        cpus=0.001
    ),
    "memory that is not whole pages": lambda d: d["services"]["nginx-lb"]["limits"].update(
        memory="10001K"
    ),
    "secret outside its directory": service("nginx-lb", secrets=[".."]),
}


@pytest.mark.parametrize("name", LATE)
def test_a_contradiction_is_refused_when_read_and_not_later(name: str):
    with pytest.raises(TopologyError):
        parse(written(LATE[name]))


@pytest.mark.parametrize("name", ["ping of another store", "two replicas with one host number"])
def test_what_is_accepted_resolves_or_is_refused(name: str):
    for shape in ("flat", "one" if name.startswith("two") else "tiered"):
        try:
            plan = edited_plan(LATE[name], shape)
        except TwinstackError:
            continue
        for world in WORLDS:
            given = [replica.address_in(world) for replica in plan.replicas]
            assert len(given) == len(set(given))
