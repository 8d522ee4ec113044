"""Look at the host: netlink dumps, iptables-save, /proc, cgroups and the supervisor.

`observe` gathers the facts of one instance. Nothing is changed, nothing is assumed: what
cannot be read is an error.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from twinstack import shell, switches
from twinstack.errors import Missing
from twinstack.namespaces import cgroups, kernel, supervisor
from twinstack.namespaces.facts import Facts, LinkFacts, NamespaceFacts, ProcessFacts
from twinstack.namespaces.network import NAMESPACE_SYSCTLS
from twinstack.namespaces.steps import (
    Cgroup,
    Directory,
    File,
    Step,
    Sysctl,
    directory_facts,
    file_facts,
)
from twinstack.plan import Plan
from twinstack.state import Places, read_journal

_UP = 1
_AF_INET = 2
_ADDRGEN_NONE = 1
_TABLES = ("raw", "nat", "filter")


def observe(plan: Plan, steps: tuple[Step, ...]) -> Facts:
    """Gather everything that the steps will be compared with.

    Raises: Missing without root; StepFailed when a part of the host cannot be read.
    """
    if os.geteuid() != 0:
        raise Missing("namespaces", "cannot be seen", "this needs root", "run it with sudo")
    places = Places(plan.instance)
    journal = read_journal(places)
    with IPRoute() as netlink:
        links = read_links(netlink)
        by_index = {link.index: link.name for link in links.values()}
        routes = tuple(_routes(netlink, by_index))
    _, processes = supervisor.observe(places)
    return Facts(
        links=links,
        namespaces=read_namespaces({replica.name for replica in plan.replicas}, plan.mark),
        sysctls=read_sysctls(step.key for step in steps if isinstance(step, Sysctl)),
        held=switches.held_by(switches.holder(plan.instance)),
        rules=read_rules(),
        routes=routes,
        listeners=read_listeners(),
        files=dict(_files(steps)),
        cgroups={
            step.replica: found
            for step in steps
            if isinstance(step, Cgroup) and (found := cgroups.read(step)) is not None
        },
        supervisor_pid=supervisor.pid(places),
        processes={one.replica: one for one in map(_located, processes)},
        intended=frozenset(journal.intended),
    )


def read_links(netlink: IPRoute) -> dict[str, LinkFacts]:
    """Dump the links of the namespace that the socket is in, with their IPv4 addresses."""
    addresses: dict[int, set[str]] = {}
    for message in netlink.get_addr(family=_AF_INET):
        text = f"{message.get_attr('IFA_LOCAL')}/{message['prefixlen']}"
        addresses.setdefault(message["index"], set()).add(text)
    dumped = list(netlink.get_links())
    by_index = {message["index"]: message.get_attr("IFLA_IFNAME") for message in dumped}
    return {
        by_index[message["index"]]: LinkFacts(
            name=by_index[message["index"]],
            index=message["index"],
            kind=_kind(message),
            alias=message.get_attr("IFLA_IFALIAS"),
            mtu=message.get_attr("IFLA_MTU"),
            up=bool(message["flags"] & _UP),
            master=by_index.get(message.get_attr("IFLA_MASTER") or 0),
            addresses=frozenset(addresses.get(message["index"], ())),
            autoconfigures_ipv6=_autoconfigures_ipv6(message),
            hairpin=_hairpin(message),
        )
        for message in dumped
    }


def _kind(message: Any) -> str | None:
    info = message.get_attr("IFLA_LINKINFO")
    return info.get_attr("IFLA_INFO_KIND") if info else None


def _hairpin(message: Any) -> bool:
    info = message.get_attr("IFLA_LINKINFO")
    port = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
    # Of a port of something other than a bridge the data is not taken apart.
    return (
        port is not None and hasattr(port, "get_attr") and bool(port.get_attr("IFLA_BRPORT_MODE"))
    )


def _autoconfigures_ipv6(message: Any) -> bool:
    families = message.get_attr("IFLA_AF_SPEC")
    inet6 = families.get_attr("AF_INET6") if families else None
    # A kernel without IPv6 reports no such family: nothing to autoconfigure.
    return inet6 is not None and inet6.get_attr("IFLA_INET6_ADDR_GEN_MODE") != _ADDRGEN_NONE


def _routes(netlink: IPRoute, by_index: Mapping[int, str]) -> Iterable[tuple[str, str]]:
    for message in netlink.get_routes(family=_AF_INET, table=254):
        destination = message.get_attr("RTA_DST")
        if destination:
            link = by_index.get(message.get_attr("RTA_OIF") or 0, "")
            yield f"{destination}/{message['dst_len']}", link


def marked_namespaces(mark: str) -> tuple[str, ...]:
    """List the pinned namespaces that bear a mark, whatever their names."""

    def alias(_name: str) -> str | None:
        with IPRoute() as netlink:
            return _loopback_alias(netlink)

    found = kernel.visit(kernel.pinned(), alias)
    return tuple(name for name, given in found.items() if given == mark)


def _loopback_alias(netlink: IPRoute) -> str | None:
    alias: str | None = netlink.get_links(1)[0].get_attr("IFLA_IFALIAS")
    return alias


def read_namespaces(wanted: Iterable[str], mark: str) -> dict[str, NamespaceFacts]:
    """Enter each wanted namespace that is pinned and look at its links and routes."""
    present = [name for name in sorted(wanted) if kernel.is_pinned(name)]
    inodes = {name: (kernel.PINS / name).stat().st_ino for name in present}

    def look(name: str) -> NamespaceFacts:
        with IPRoute() as netlink:
            gateways = [
                message.get_attr("RTA_GATEWAY")
                for message in netlink.get_routes(family=_AF_INET, table=254)
                if not message["dst_len"]
            ]
            return NamespaceFacts(
                name=name,
                inode=inodes[name],
                ours=_loopback_alias(netlink) == mark,
                links=read_links(netlink),
                default_gateway=gateways[0] if gateways else None,
                sysctls=read_sysctls(key for key, _ in NAMESPACE_SYSCTLS),
            )

    return kernel.visit(present, look) if present else {}


def read_sysctls(keys: Iterable[str]) -> dict[str, str]:
    """Read switches of the host; one that is not there is left out."""
    found = {}
    for key in keys:
        try:
            found[key] = kernel.sysctl_path(key).read_text().strip()
        except FileNotFoundError:
            continue
    return found


def read_rules() -> dict[str, tuple[str, ...]]:
    """Read iptables once, as iptables-save prints it, by table. Raises: StepFailed."""
    tables: dict[str, list[str]] = {table: [] for table in _TABLES}
    current: list[str] = []
    for line in shell.run(["iptables-save"]).stdout.splitlines():
        if line.startswith("*"):
            current = tables.setdefault(line[1:], [])
        elif line.startswith((":", "-A ")):
            current.append(line)
    return {table: tuple(lines) for table, lines in tables.items()}


def read_listeners() -> dict[int, str]:
    """Map each TCP port that somebody on the host listens on to the address of that socket.

    Source: proc_net_tcp in the kernel's documentation.
    """
    found: dict[int, str] = {}
    for file in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            lines = Path(file).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            local, state = line.split()[1], line.split()[3]
            address, port = local.split(":")
            if state == "0A":
                found[int(port, 16)] = _hex_address(address)
    return found


def _hex_address(text: str) -> str:
    if len(text) == 8:
        return str(IPv4Address(int.from_bytes(bytes.fromhex(text), "little")))
    return "[::]" if not int(text, 16) else "[an IPv6 address]"


def digest(content: str | bytes) -> str:
    """Give the short digest by which a file of ours is compared."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:12]


def _files(steps: tuple[Step, ...]) -> Iterable[tuple[str, str]]:
    for step in steps:
        if isinstance(step, (File, Directory)):
            path = Path(step.path)
            if path.is_dir():
                there = path.stat()
                yield step.path, directory_facts(there.st_mode & 0o7777, there.st_uid)
            elif path.is_file():
                mode = path.stat().st_mode & 0o7777
                yield step.path, file_facts(digest(path.read_bytes()), mode)


def _located(process: ProcessFacts) -> ProcessFacts:
    """Add what /proc says of a supervised process: its namespace and the script it came from."""
    if process.pid is None:
        return process
    try:
        inode = os.stat(f"/proc/{process.pid}/ns/net").st_ino
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return process
    key = b"TWINSTACK_LAUNCH="
    launches = [one.removeprefix(key) for one in environment if one.startswith(key)]
    return ProcessFacts(
        replica=process.replica,
        pid=process.pid,
        state=process.state,
        launch=launches[0].decode() if launches else None,
        namespace_inode=inode,
        restarts=process.restarts,
    )
