"""What the namespace and the Docker world are expected to differ in, each with its reason. Pure.

These differences are Docker's nature, and thereby part of what is measured, or they have no effect
on it. A value other than the expected one refuses the comparison, like any other difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from twinstack.model.runtimes import APPLICATION_DATA, POSTGRES_DATA, REDIS_DATA


@dataclass(frozen=True, slots=True)
class Expected:
    """One difference, as `gate` shows it; values are patterns of words that only one world has."""

    keys: str  # divided by blanks
    net: str
    docker: str
    reason: str


_NONE = "nothing more"
_FIVE_DIGITS = "[1-9][0-9][0-9][0-9][0-9]*"
EXPECTED = (
    Expected("mount./", "*", "overlay *", "an image's layers are an overlay"),
    Expected("mount./tmp", _NONE, "noexec", "nothing runs from there"),
    Expected(
        f"mount.{POSTGRES_DATA} mount.{REDIS_DATA} mount.{APPLICATION_DATA}",
        "nosuid nodev noexec",
        _NONE,
        "nothing runs from there",
    ),
    Expected("hosts", "*-[2-9]=*", _NONE, "Docker's DNS knows further replicas"),
    Expected("stdout stderr", "file append", "pipe", "the engine copies a container's log"),
    Expected("namespaces", _NONE, "*pid", "a container has its own process numbers"),
    Expected("seccomp.program", "[1-9]*", "[1-9]*", "the engine's also has other machines' calls"),
    Expected("lsm", "*", "docker-default*", "the engine's own AppArmor profile"),
    Expected("rlimit.nofile", _FIVE_DIGITS, _FIVE_DIGITS, "both above what a service opens"),
    Expected(
        "rlimit.core rlimit.nproc rlimit.memlock rlimit.sigpending rlimit.msgqueue",
        "*",
        "*",
        "inherited from the engine's unit and from the shell; no service comes near",
    ),
    Expected("cgroup.depth", "*", "*", "each world's own parents, which hold it to nothing more"),
    Expected("groups", "none", "own-id", "Docker makes the main group a supplementary one too"),
    Expected("env.HOME env.HOSTNAME", "absent", "*", "Docker adds them; no service reads them"),
    Expected("env.TWINSTACK_LAUNCH", "set", "absent", "our supervisor's mark"),
    Expected("resolver", "*", "*nameserver=127.0.0.11*", "Docker's DNS, behind /etc/hosts"),
    Expected("netfilter", "none", "nat=*", "Docker's DNS is reached by NAT in each container"),
    Expected("conntrack", "off", "on", "that NAT has a container's connections tracked"),
    Expected("links", "1", "[2-9]", "tiers: a container joins each network it must reach"),
    Expected("link.txqlen host_end.txqlen", "1000", "0", "without a queue it has no effect"),
    Expected(
        "link.tx_queues link.rx_queues host_end.tx_queues host_end.rx_queues",
        "1",
        "*",
        "the engine's veth has a queue for each core",
    ),
    Expected("bridge", _NONE, "mcast_snooping", "nothing here is sent to groups"),
    Expected("port", "mode", _NONE, "hairpin: namespaces may use the published port"),
    Expected("iptables.*", "*", "*", "the engine has rules of its own beside the policy's"),
    Expected("answer.content", "*", "*", "stock changes with orders; the size is as large"),
    Expected("rows.orders rows.order_items", "*", "*", "orders from earlier use"),
)
#: What no process shows.
IN_KIND = (
    "health: net runs no probe unless status is asked, docker runs one in each container",
    "path: net our bridge and the host's routes, docker Docker's bridge and its rules",
)


def reason(key: str, values: Mapping[str, str]) -> str | None:
    """Give the reason for which a value may differ so; `values`: world → value."""
    if set(values) != {"net", "docker"}:
        return None
    for expected in EXPECTED:
        patterns = {"net": expected.net, "docker": expected.docker}
        if any(fnmatchcase(key, pattern) for pattern in expected.keys.split()) and all(
            fnmatchcase(values[world], pattern) for world, pattern in patterns.items()
        ):
            return expected.reason
    return None
