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


_AMPLE = "[1-9][0-9][0-9][0-9][0-9]*"  # five digits
#: A row each: keys, the namespace world's value, Docker's, the reason. An indented line goes on.
_TABLE = f"""
mount./ | * | overlay * | an image's layers are an overlay
mount./tmp | nothing more | noexec | nothing runs from there
mount.{POSTGRES_DATA} mount.{REDIS_DATA} mount.{APPLICATION_DATA}
    | nosuid nodev noexec | nothing more | nothing runs from there
hosts | *-[2-9]=* | nothing more | Docker's DNS knows further replicas
stdout stderr | file append | pipe | the engine copies a container's log
namespaces | nothing more | *pid | a container has its own process numbers
seccomp.program | [1-9]* | [1-9]* | the engine's also has other machines' calls
lsm | * | docker-default* | the engine's own AppArmor profile
rlimit.nofile | {_AMPLE} | {_AMPLE} | both above what a service opens
rlimit.core rlimit.nproc rlimit.memlock rlimit.sigpending rlimit.msgqueue | * | *
    | inherited from the engine's unit and from the shell; no service comes near
cgroup.depth | * | * | each world's own parents, which hold it to nothing more
groups | none | own-id | Docker makes the main group a supplementary one too
env.HOME env.HOSTNAME | absent | * | Docker adds them; no service reads them
env.TWINSTACK_LAUNCH | set | absent | our supervisor's mark
resolver | * | *nameserver=127.0.0.11* | Docker's DNS, behind /etc/hosts
netfilter | none | nat=* | Docker's DNS is reached by NAT in each container
conntrack | off | on | that NAT has a container's connections tracked
links | 1 | [2-9] | tiers: a container joins each network it must reach
link.txqlen host_end.txqlen | 1000 | 0 | without a queue it has no effect
link.tx_queues link.rx_queues host_end.tx_queues host_end.rx_queues | 1 | *
    | the engine's veth has a queue for each core
bridge | nothing more | mcast_snooping | nothing here is sent to groups
port | mode | nothing more | hairpin: namespaces may use the published port
iptables.* | * | * | the engine has rules of its own beside the policy's
answer.content | * | * | stock changes with orders; the size is as large
rows.orders rows.order_items | * | * | orders from earlier use
"""
EXPECTED = tuple(
    Expected(*map(str.strip, row.split("|")))
    for row in _TABLE.replace("\n    ", " ").strip().splitlines()
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
