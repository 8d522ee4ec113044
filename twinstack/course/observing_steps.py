"""What a student sets up to observe a link: a mirror, a rule that logs, a capture; pure.

Source: tc-u32(8), tc-mirred(8), iptables-extensions(8), tshark(1).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from twinstack.course.own_step import OwnStep, Printed
from twinstack.linux.iptables import target

_DIRECTIONS = ("ingress", "egress")


@dataclass(frozen=True, slots=True)
class SwitchedOn(OwnStep):
    """Turn a switch of the host's on. Source: nf_conntrack-sysctl (Linux)."""

    key: str
    NAME = "sysctl {0.key}"
    COMMANDS = ("sysctl -w {0.key}=1",)
    LOOKS = ("sysctl -n {0.key}",)

    @property
    def sysctls(self) -> tuple[str, ...]:
        return (self.key,)

    def difference(self, printed: Printed) -> str | None:
        value = printed[self.looks[0]].strip()
        return None if value == "1" else f"is {value or 'absent'}"


@dataclass(frozen=True, slots=True)
class Mirror(OwnStep):
    """Copy every frame of a link, in both directions, to another link.

    Source: tc-mirred(8). Same as: tc filter add … action mirred egress mirror dev LINK.
    """

    link: str
    to: str
    NAME = "mirror {0.link} to {0.to}"
    COMMANDS = (
        "tc qdisc add dev {0.link} clsact",
        *(
            f"tc filter add dev {{0.link}} {way} pref {number} protocol all u32 match u32 0 0"
            " action mirred egress mirror dev {0.to}"
            for number, way in enumerate(_DIRECTIONS, 1)
        ),
    )
    LOOKS = tuple(f"tc -j filter show dev {{0.link}} {way}" for way in _DIRECTIONS)
    UNDO = ("tc qdisc delete dev {0.link} clsact",)

    def difference(self, printed: Printed) -> str | None:
        for way, look in zip(_DIRECTIONS, self.looks, strict=True):
            # Of u32's filters with one priority, either direction shows both directions' own.
            filters = [each for each in json.loads(printed[look] or "[]") if _mirrored(each)]
            targets = {name for each in filters for name in _mirrored(each)}
            if not targets:
                return f"{way} of {self.link} is not mirrored"
            if targets != {self.to}:
                return f"{way} of {self.link} is mirrored to {', '.join(sorted(targets))}"
            if not all(map(_takes_all, filters)):
                return f"the filter on {way} of {self.link} does not take every frame"
        return None


def _mirrored(entry: dict[str, Any]) -> frozenset[str]:
    """Name the links that a filter copies to: to send frames elsewhere is no copying."""
    return frozenset(
        action["to_dev"]
        for action in entry.get("options", {}).get("actions", ())
        if action.get("kind") == "mirred" and action.get("mirred_action") == "mirror"
    )


def _takes_all(entry: dict[str, Any]) -> bool:
    if entry.get("protocol") != "all":
        return False
    match = entry["options"].get("match")
    return entry["kind"] == "matchall" or (match is not None and match["mask"] == "0")


@dataclass(frozen=True, slots=True)
class LoggedConnections(OwnStep):
    """Log the first packet of each connection to a port, in the namespace of its listener.

    LOG is silent outside the first network namespace; NFLOG hands packets to who listens on its
    group. Source: iptables-extensions(8). Same as: iptables -A INPUT … -j NFLOG.
    """

    namespace: str
    port: int
    group: int
    NAME = "log rule in {0.namespace}"
    COMMANDS = (
        (
            "ip netns exec {0.namespace} iptables -A INPUT -p tcp --dport {0.port} --syn"
            " -j NFLOG --nflog-group {0.group}"
        ),
    )
    LOOKS = ("ip netns exec {0.namespace} iptables-save -t filter",)
    UNDO = ("ip netns exec {0.namespace} iptables -F INPUT",)

    def difference(self, printed: Printed) -> str | None:
        (look,) = self.looks
        rules = [line for line in printed[look].splitlines() if line.startswith("-A ")]
        logging = [line for line in rules if target(line) == "NFLOG"]
        if not logging:
            return "no rule there has the target NFLOG"
        lacks = (
            ("is not in INPUT", r"^-A INPUT "),
            ("does not name tcp", r" -p tcp "),
            (f"does not name port {self.port}", rf" --dport {self.port} "),
            ("does not take the first packet alone", r" --tcp-flags FIN,SYN,RST,ACK SYN "),
            (f"does not go to group {self.group}", rf" --nflog-group {self.group}\b"),
        )
        faults = [
            [f"{fault}: {line}" for fault, pattern in lacks if not re.search(pattern, line)]
            for line in logging
        ]
        best = min(faults, key=len)
        return f"the rule {best[0]}" if best else None


@dataclass(frozen=True, slots=True)
class Capture(OwnStep):
    """Capture one request by its id, on the link where the mirror arrives, into a file."""

    file: str
    namespace: str
    link: str
    url: str
    request: str  # the id that it carries
    client: str  # addresses of the two ends of the connection
    server: str
    port: int
    NAME = "capture {0.file}"
    COMMANDS = (
        (
            "nsenter --net=/run/netns/{0.namespace} timeout 4 tshark -q -i {0.link} -w {0.file} & "
            "sleep 2; curl -s -o /dev/null -H 'X-Request-ID: {0.request}' {0.url}; "
            "wait $! || [ $? = 124 ]"
        ),
    )
    LOOKS = (
        (
            "tshark -r {0.file} -Y 'tcp.len > 0 && frame contains \"{0.request}\"'"
            " -T fields -e ip.src -e ip.dst -e tcp.dstport"
        ),
        "head -c 4 {0.file} | od -A n -t x1",
    )
    UNDO = ("rm -f {0.file}",)

    def difference(self, printed: Printed) -> str | None:
        packets, magic = (printed[look] for look in self.looks)
        if not magic.split():
            return "is absent"
        found = {tuple(line.split()) for line in packets.splitlines()}
        if not found:
            return f"holds no request with the id {self.request}"
        if (self.client, self.server, str(self.port)) not in found:
            ways = ", ".join(sorted(" → ".join(each[:2]) for each in found))
            return f"has the request elsewhere ({ways}), not {self.client} → {self.server}"
        return None
