"""A malformed value is one clear line with its path and remedy."""

from __future__ import annotations

import pytest

from tests.support.core_cases import TEXT, Edit, written
from tests.support.model_cases import ADDED_FLOW, limits, one_mistake, segment, service
from twinstack.model.topology_file import parse

APP = "shapes.flat.segments.app"


FORM: dict[str, tuple[Edit, str, str]] = {
    "unknown key at the top": (lambda d: d.update(servces={}), "servces", "known key"),
    "unknown key in a service": (service("nginx-lb", prot=80), "services.nginx-lb.prot", "known"),
    "unknown key in a limit": (limits(cpu=1), "services.nginx-lb.limits.cpu", "known key"),
    "unknown key in a segment": (segment("flat", "app", gateway="x"), f"{APP}.gateway", "known"),
    "missing key": (
        lambda d: d["services"]["nginx-lb"].pop("port"),
        "services.nginx-lb.port",
        "missing",
    ),
    "missing services": (lambda d: d.pop("services"), "services", "missing"),
    "no services": (lambda d: d.update(services={}, flows=[], host_ports=[]), "services", "1"),
    "no shapes": (lambda d: d.update(shapes={}), "shapes", "at least 1"),
    "port 0": (service("nginx-lb", port=0), "services.nginx-lb.port", "it is 1 to"),
    "port 65536": (service("nginx-lb", port=65536), "services.nginx-lb.port", "to 65535"),
    "port -1": (service("nginx-lb", port=-1), "services.nginx-lb.port", "it is 1 to"),
    "port in words": (service("nginx-lb", port="80"), "services.nginx-lb.port", "integer"),
    "port is yes": (service("nginx-lb", port=True), "services.nginx-lb.port", "integer"),
    "a cache of another kind": (
        service("product-service", cache="far"),
        "services.product-service.cache",
        "'shared' or 'near'",
    ),
    "a near cache of what caches nothing": (
        service("order-service", cache="near"),
        "services.order-service",
        "no other caches",
    ),
    "host port 65536": (
        lambda d: d["host_ports"][0].update(port=65536),
        "host_ports.0.port",
        "to 65535",
    ),
    "egress port 0": (lambda d: d["egress"].update(tcp=[0]), "egress.tcp.0", "it is 1 to"),
    "egress port twice": (
        lambda d: d["egress"].update(tcp=[80, 80]),
        "egress.tcp.1",
        "port 80 twice",
    ),
    "egress ports beyond a multiport match": (
        lambda d: d["egress"].update(tcp=list(range(1, 17))),
        "egress.tcp",
        "at most 15",
    ),
    "no new connection at all": (
        lambda d: d["edge"].update(new_connections_per_second=0),
        "edge.new_connections_per_second",
        "it is 1 to",
    ),
    "no request at all": (
        lambda d: d["edge"].update(requests_per_second=0),
        "edge.requests_per_second",
        "it is 1 to",
    ),
    "a burst beyond hashlimit's": (
        lambda d: d["edge"].update(burst=20000),
        "edge.burst",
        "to 10000",
    ),
    "a flow of another protocol": (
        lambda d: d["flows"].append({"from": "world", "to": "nginx-lb", "protocol": "sctp"}),
        f"{ADDED_FLOW}.protocol",
        "tcp",
    ),
    "no replicas": (service("nginx-lb", replicas=0), "services.nginx-lb.replicas", "it is 1 to"),
    "half a replica": (service("nginx-lb", replicas=1.5), "services.nginx-lb.replicas", "integer"),
    "cpus 0": (limits(cpus=0), "services.nginx-lb.limits.cpus", "it is 0.01 to 1024"),
    "cpus below 0": (
        limits(cpus=-1),
        "services.nginx-lb.limits.cpus",
        "cannot be -1: it is 0.01 to",
    ),
    "cpus not a number": (limits(cpus=float("nan")), "services.nginx-lb.limits.cpus", "nan"),
    "pids 0": (limits(pids=0), "services.nginx-lb.limits.pids", "it is 1 to"),
    "no way to ask": (service("nginx-lb", health={}), "services.nginx-lb.health", "exactly one"),
    "two ways to ask": (
        service("nginx-lb", health={"http": "/h", "ping": "redis"}),
        "services.nginx-lb.health",
        "exactly one",
    ),
    "module of a store": (service("redis-cache", module="a:b"), "services.redis-cache", "module"),
    "data of a store": (service("redis-cache", data=True), "services.redis-cache", "store"),
    "python without a module": (
        lambda d: d["services"]["order-service"].pop("module"),
        "services.order-service",
        "module",
    ),
    "unknown runtime": (service("nginx-lb", runtime="apache"), "services.nginx-lb.runtime", "wsgi"),
    "user is root": (service("nginx-lb", user=0), "services.nginx-lb.user", "it is 1000 to"),
    "unknown world": (lambda d: d["host_ports"][0].update(world="vm"), "host_ports.0.world", "net"),
    "unknown role": (lambda d: d["software"]["bases"].update(java="x"), "software.bases.java", ""),
}


@pytest.mark.parametrize("name", FORM)
def test_a_malformed_value_is_one_clear_line_with_its_path(name: str):
    edit, path, fragment = FORM[name]
    line = one_mistake(written(edit))
    assert line.startswith(path), line
    assert fragment in line


@pytest.mark.parametrize("name", FORM)
def test_a_malformed_value_comes_with_its_remedy(name: str):
    assert "; " in one_mistake(written(FORM[name][0]))


def test_a_topology_cannot_be_changed_after_it_was_read():
    topology = parse(TEXT)
    with pytest.raises(ValueError, match="frozen"):
        topology.services["nginx-lb"].port = 81
