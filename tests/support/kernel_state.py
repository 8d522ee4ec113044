"""Write down what the kernel holds, by `ip` and `iptables-save` alone, to compare two ways to it.

What differs from one making to the next by nature is left out: indices, MAC addresses, timers,
carriers that come a moment later.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.sandbox import Sandbox

_BETWEEN = "~~~~"
_LINK = ("ifname", "mtu", "master", "group", "ifalias", "num_tx_queues", "inet6_addr_gen_mode")
_BRIDGE = ("stp_state", "mcast_snooping", "nf_call_iptables")
_SWITCHES = (
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/conf/all/accept_redirects",
    "net/ipv4/conf/default/accept_redirects",
    "net/ipv6/conf/all/disable_ipv6",
    "net/ipv6/conf/default/disable_ipv6",
)


def kernel_state(host: Sandbox) -> dict[str, Any]:
    """Give the host's links, addresses, routes, rules and switches, and those of each namespace."""
    names = [line.split()[0] for line in host.run("ip", "netns", "list").stdout.splitlines()]
    looks = [
        "iptables-save | grep -v '^#' | sed 's/\\[.*\\]//'",
        "cat /proc/sys/net/ipv4/ip_forward",
        "grep -H . /proc/sys/net/ipv4/conf/*/route_localnet | sort",
        *_in(""),
    ]
    for name in names:
        looks += _in(name)
    script = "".join(f"{{ {look}; }} 2>/dev/null; echo {_BETWEEN}\n" for look in looks)
    sections = host.run("sh", "-c", script).stdout.split(f"{_BETWEEN}\n")
    rules, forward, localnet, *rest = sections
    state: dict[str, Any] = {"rules": rules, "ip_forward": forward, "route_localnet": localnet}
    for place, name in enumerate(["", *names]):
        links, routes, switches = rest[place * 3 : place * 3 + 3]
        state[name or "host"] = {
            "links": sorted((_link(link) for link in json.loads(links or "[]")), key=str),
            "routes": routes,
            "switches": switches if name else "",
        }
    return state


def _in(name: str) -> list[str]:
    ip = f"ip -n {name}" if name else "ip"
    inside = f"nsenter --net=/run/netns/{name} " if name else ""
    switches = " ".join(f"/proc/sys/{switch}" for switch in _SWITCHES)
    return [f"{ip} -d -j address", f"{ip} route | sort", f"{inside}grep -H . {switches}"]


def _link(link: dict[str, Any]) -> dict[str, Any]:
    kept = {key: link.get(key) for key in _LINK}
    info = link.get("linkinfo", {})
    kept["up"] = "UP" in link.get("flags", ())
    kept["kind"] = info.get("info_kind")
    kept["bridge"] = {key: info.get("info_data", {}).get(key) for key in _BRIDGE}
    kept["hairpin"] = info.get("info_slave_data", {}).get("hairpin")
    kept["addresses"] = sorted(
        f"{address['local']}/{address['prefixlen']}" for address in link.get("addr_info", ())
    )
    return kept


def unlike(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Name where two states differ, a line each."""
    return [
        f"{place} {part}: {a} / {b}"
        for place in sorted({*before, *after})
        for part, a, b in _parts(before.get(place), after.get(place))
        if a != b
    ]


def _parts(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [(key, *_apart(before.get(key), after.get(key))) for key in before]
    return [("", before, after)]


def _apart(before: Any, after: Any) -> tuple[Any, Any]:
    """Leave out of two lists what is in both."""
    if isinstance(before, list) and isinstance(after, list):
        return [x for x in before if x not in after], [x for x in after if x not in before]
    return before, after
