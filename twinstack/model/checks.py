"""Hold the values of a topology against each other. Pure.

Each check gives `Mistake`s with the values that they are judged by, so that what rests on a value
that is a mistake itself is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from twinstack.model import addressing, placement, service_checks, shape_checks
from twinstack.model.mistakes import Mistake, ValuePath, meant
from twinstack.model.names import PEERS
from twinstack.model.topology import Topology

#: What of a service decides its replicas' addresses.
_ADDRESSED = {"tier", "addresses", "replicas"}


def mistakes(topology: Topology, unusable: Collection[ValuePath] = ()) -> list[Mistake]:
    """Find every contradiction in a topology, in which stand-ins may replace unusable values."""
    found = [
        *service_checks.mistakes(topology),
        *shape_checks.mistakes(topology),
        *addressing.mistakes(topology),
        *service_checks.egress_mistakes(("egress",), topology.egress),
        *_flow_mistakes(topology),
        *_host_port_mistakes(topology),
        *placement.mistakes(topology),
    ]
    # Host numbers exist only once every tier has its segment and every replica its address.
    if not any(_is_of_addresses(path) for path in (*(each.path for each in found), *unusable)):
        found += shape_checks.crowded_bridges(topology) or addressing.host_number_mistakes(topology)
    return [mistake for mistake in found if not mistake.rests_on(unusable)]


def _is_of_addresses(path: ValuePath) -> bool:
    in_service = path[:1] == ("services",)
    return path[:1] == ("shapes",) or (in_service and (len(path) < 3 or path[2] in _ADDRESSED))


def _flow_mistakes(topology: Topology) -> Iterator[Mistake]:
    known = [*topology.services, *sorted(PEERS)]
    owners: dict[tuple[str, str, str, int | None], int] = {}
    for index, flow in enumerate(topology.flows):
        path: ValuePath = ("flows", index)
        for key, name in (("from", flow.source), ("to", flow.destination)):
            if name not in known or (key == "to" and name in PEERS):
                remedy = meant(name, known, "name a service of this file")
                yield Mistake((*path, key), f"{name!r} is no service", "", remedy)
        spec = topology.services.get(flow.destination)
        own = spec.port if spec and flow.protocol == "tcp" else None
        identity = (flow.source, flow.destination, flow.protocol, flow.port or own)
        if (owner := owners.setdefault(identity, index)) != index:
            failure = f"{flow.source} to {flow.destination} is declared twice"
            yield Mistake(
                path,
                failure,
                f"flows.{owner} is the same",
                "remove one",
                judged_by=(("flows", owner), ("services", flow.destination, "port")),
            )
        if flow.protocol == "udp" and flow.port is None:
            cause = "a service's own port is TCP's"
            yield Mistake((*path, "port"), "is missing", cause, "name the UDP port")


def _host_port_mistakes(topology: Topology) -> Iterator[Mistake]:
    owners: dict[int, int] = {}
    for index, published in enumerate(topology.host_ports):
        path: ValuePath = ("host_ports", index)
        if published.service not in topology.services:
            remedy = meant(published.service, topology.services, "name a service of this file")
            yield Mistake((*path, "service"), f"{published.service!r} is no service", "", remedy)
        if (owner := owners.setdefault(published.port, index)) != index:
            yield Mistake(
                (*path, "port"),
                f"{published.port} is used twice",
                f"host_ports.{owner} has it",
                "choose another port",
                judged_by=(("host_ports", owner, "port"),),
            )
