"""Read a network namespace, and a replica's process, as they are after the attempt."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from twinstack.linux import child, conntrack, links, neigh, procfs, sock_diag
from twinstack.linux.cgroup import ControlGroup, parse_flat_keyed, parse_limit
from twinstack.linux.netlink import NETLINK, Netlink, Refused
from twinstack.linux.rtnetlink import RTM
from twinstack.observe.why.evidence import NamespaceState, ProcessFacts

_LISTEN = 1 << sock_diag.STATES.index("LISTEN")
_PER_LINK = ("rp_filter", "forwarding", "route_localnet")


def namespace_facts(towards: str) -> NamespaceState:
    """Read the namespace that we are in; `towards` is the attempt's other end ("": none).

    Raises: OSError.
    """
    route, no_route = None, ""
    with Netlink() as netlink:
        found = links.dump_links(netlink)
        names = {link.index: name for name, link in found.items()}
        dumped = netlink.dump(RTM.GETNEIGH, neigh.EVERY_NEIGHBOUR)
        neighbours = [neigh.read_neighbour(body, names) for body in dumped]
        try:
            if towards:
                route = links.route_to(netlink, IPv4Address(towards), names)
        except Refused as error:
            no_route = errno.errorcode.get(error.errno or 0, str(error.errno))
    with Netlink(NETLINK.SOCK_DIAG) as netlink:
        listeners = tuple(sock_diag.dump(netlink, _LISTEN))
    keys = {"ip_forward": "net.ipv4.ip_forward"}
    keys |= {
        f"{key}.{name}": f"net.ipv4.conf.{name}.{key}"
        for name in ("all", *found)
        for key in _PER_LINK
        if "." not in name
    }
    read = {key: procfs.sysctl_numbers(name) for key, name in keys.items()}
    return NamespaceState(
        found,
        route,
        no_route,
        tuple(each for each in neighbours if each is not None),
        {key: numbers[0] for key, numbers in read.items() if numbers},
        listeners,
        conntrack.size(),
    )


def facts_of(name: str, namespace: Path | None, towards: str) -> NamespaceState:
    """Read a namespace. Raises: StepFailed."""
    return child.inside(name, namespace, lambda: namespace_facts(towards))


def tracked(number: int) -> tuple[str, ...]:
    """List the connections tracked here that have a port of this number; none is no error."""
    found = []
    port = number.to_bytes(2, "big")
    with suppress(Refused), Netlink(NETLINK.NETFILTER) as netlink:
        for body in netlink.dump(conntrack.IPCTNL.GET, conntrack.EVERY):
            if port not in bytes(body):  # to read each of 100,000 entries takes half a second
                continue
            with suppress(ValueError):
                entry = conntrack.read_entry(body)
                if number in {entry.original.source_port, entry.reply.destination_port}:
                    ends = _ends(entry.original), _ends(entry.reply)
                    found.append(f"{entry.state or 'tracked'}: {ends[0]}, answered as {ends[1]}")
    return tuple(found)


def _ends(one: conntrack.ConntrackTuple) -> str:
    source, destination = IPv4Address(one.source), IPv4Address(one.destination)
    return f"{source}:{one.source_port} > {destination}:{one.destination_port}"


def throttled_us(pid: int | None) -> int:
    """Give how long a process's cgroup was kept waiting so far; 0 where that is not known."""
    if pid is None:
        return 0
    with suppress(OSError, KeyError):
        return ControlGroup.of(pid).throttled_us()
    return 0


def process_facts(pid: int, throttled_before_us: int) -> ProcessFacts | None:
    """Read a process and its cgroup; None when it is gone, or only waits to be collected."""
    try:
        group, state = ControlGroup.of(pid), procfs.stat(pid).state
        if state in "ZX":
            return None
        files = len(os.listdir(f"/proc/{pid}/fd"))
        limits = Path(f"/proc/{pid}/limits").read_text()
    except OSError:
        return None
    open_files = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    soft = open_files.split()[3]
    return ProcessFacts(
        pid,
        state,
        _is_frozen(group),
        files,
        int(soft) if soft.isdigit() else 0,
        _number(group, "pids", "pids.current") or 0,
        group.limits().pids,
        _oom_kills(group),
        max(throttled_us(pid) - throttled_before_us, 0) / 1e6,
    )


def hosts_entry(pid: int, name: str) -> tuple[bool, str | None]:
    """Tell whether a process has an /etc/hosts, and what this gives for a name."""
    try:
        text = Path(f"/proc/{pid}/root/etc/hosts").read_text(errors="replace")
    except OSError:
        return False, None
    return True, read_hosts(text, name)


def read_hosts(text: str, name: str) -> str | None:
    """Give the first IPv4 address that the text of /etc/hosts has for a name; None: nothing."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if name in words[1:]:
            with suppress(ValueError):  # IPv6, or no address: a resolver passes over it
                return str(IPv4Address(words[0]))
    return None


def _is_frozen(group: ControlGroup) -> bool:
    for controller in group.paths:
        for level in group.levels(controller)[:1]:
            for file, frozen in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
                with suppress(OSError):
                    if (level / file).read_text().strip() == frozen:
                        return True
    return False


def _number(group: ControlGroup, controller: str, file: str) -> int | None:
    with suppress(OSError):
        return parse_limit((group.directory(controller) / file).read_text())
    return None


def _oom_kills(group: ControlGroup) -> int:
    for file in ("memory.events", "memory.oom_control"):
        with suppress(OSError, ValueError):
            text = (group.directory("memory") / file).read_text()
            return parse_flat_keyed(text).get("oom_kill", 0)
    return 0
