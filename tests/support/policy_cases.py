"""Random sets of flows, and what they open, computed straight from the declaration."""

from __future__ import annotations

import copy
import random
from typing import Any

import yaml

from tests.support.core_cases import WRITTEN
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.policy.chains import chains

_PORTS = (80, 53, 443, 3000, 5000, 5432, 6379, 7000, 9125)


def generated(seed: int) -> str:
    """Give a topology with other flows, egress and published ports, as YAML."""
    chance = random.Random(seed)
    document: dict[str, Any] = copy.deepcopy(WRITTEN)
    services = list(document["services"])
    flows: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    for _ in range(chance.randint(0, 25)):
        source = chance.choice([*services, *services, "world", "host"])
        destination = chance.choice(services)
        flow: dict[str, Any] = {"from": source, "to": destination}
        kind, port = "tcp", document["services"][destination]["port"]
        if chance.random() < 0.35:
            kind = chance.choice(["tcp", "udp"])
            port = chance.choice(_PORTS)
            flow |= {"protocol": kind, "port": port}
        flows.setdefault((source, destination, kind, port), flow)
    document["flows"] = list(flows.values())
    for spec in document["services"].values():
        spec.pop("egress", None)
        if chance.random() < 0.4:
            spec["egress"] = {
                "tcp": chance.sample(_PORTS, chance.randint(0, 4)),
                "udp": chance.sample(_PORTS, chance.randint(0, 2)),
            }
    if chance.random() < 0.3:
        document["egress"] = {}
    if chance.random() < 0.5:
        document.pop("edge")
    behind = chance.choice(services)
    if chance.random() < 0.4:
        document["host_ports"][0] |= {"service": behind}
    return str(yaml.dump(document, sort_keys=False))


def oracle(written: str, plan: Plan, world: WorldName = "net") -> set[tuple[str, str, str, int]]:
    """List what is open, by replicas: (source, destination, protocol, port); nothing else is."""
    document = yaml.safe_load(written)
    names = {
        service: [replica.name for replica in plan.replicas if replica.service == service]
        for service in document["services"]
    }
    opened: set[tuple[str, str, str, int]] = set()
    for flow in document["flows"]:
        if flow.get("world", world) != world:
            continue
        kind = flow.get("protocol", "tcp")
        port = flow.get("port", document["services"][flow["to"]]["port"])
        sources = {"world": ["host", "outside"], "host": ["host"]}.get(flow["from"])
        asking = names[flow["from"]] if sources is None else sources
        for source in asking:
            for replica in names[flow["to"]]:
                # In Docker, other machines come by the published port.
                if source != replica and not (world == "docker" and source == "outside"):
                    opened.add((source, replica, kind, port))
        first = names[flow["to"]][0]
        own = document["services"][flow["to"]]["port"]
        for published in plan.published_ports:
            if (published.world, published.replica, kind, port) != (world, first, "tcp", own):
                continue
            for source in asking:
                elsewhere = source == "outside" and str(published.bind) != "0.0.0.0"
                proxied = world == "docker" and source not in {"host", "outside"}
                if not (elsewhere or proxied):
                    opened.add((source, "host", "tcp", published.port))
    for service, spec in document["services"].items():
        egress = spec.get("egress", document["egress"])
        for kind in ("tcp", "udp"):
            for port in egress.get(kind, []):
                opened |= {(name, "outside", kind, port) for name in names[service]}
    return opened


#: The built-in chains of the filter table, empty.
POLICIES = (":FORWARD ACCEPT [0:0]", ":INPUT ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]")


def filter_lines(plan: Plan, world: WorldName) -> tuple[str, ...]:
    """Give the filter table of a plan as iptables-save prints it."""
    hooks = [chain.hook(plan.mark) for chain in chains(plan, world)]
    jumps = [hook.jump for hook in hooks if hook.jump]
    return (*POLICIES, *jumps, *(line for hook in hooks for line in hook.lines))
