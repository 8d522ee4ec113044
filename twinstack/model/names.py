"""Names that the kernel, iptables and Docker accept, derived and never stored. Pure.

The kernel allows 15 characters for an interface and iptables 28 for a chain. A name that is too
long keeps its readable head, and gets a short hash for a tail where others may be alike: it is the
same at every run, and two long names stay apart. Each `…_problem` gives None for a name that can be
used.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from twinstack.errors import WrongUse

INTERFACE_MAX = 15
CHAIN_MAX = 28
INSTANCE_MAX = 15
#: What a flow may name beside services.
PEERS = frozenset({"world", "host"})
_PRODUCT = "twinstack:"
_INSTANCE = re.compile(r"[a-z][a-z0-9-]{0,13}[a-z0-9]|[a-z]")
#: Directories beside those of the instances.
_TAKEN = frozenset({"roots", "software", "docker", "agent"})
SERVICE = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
HOST = re.compile(r"[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?")
#: How our own links begin: host ends of veth pairs, bridges of Docker networks, VXLANs.
_LINK_PREFIXES = ("ve-", "dk-", "vx-")
#: Names that /proc/sys/net and every network namespace have already.
_KERNEL_NAMES = frozenset({"all", "default", "lo"})


def interface_problem(name: str) -> str | None:
    """Say why the kernel would refuse an interface of that name. Source: dev_valid_name."""
    if len(name) > INTERFACE_MAX:
        return f"{name!r} has {len(name)} characters, the kernel allows {INTERFACE_MAX}"
    if not name or name in {".", ".."} or re.search(r"[\s/:%]", name):
        return f"{name!r} is no name for an interface"
    return None


def bridge_problem(name: str) -> str | None:
    """Say why a declared bridge cannot have that name."""
    if problem := interface_problem(name):
        return problem
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        # A dot divides a sysctl's path, a plus is iptables's wildcard, a quote ends a rule's word.
        return f"{name!r} is not letters, digits, hyphens and underscores"
    if name in _KERNEL_NAMES:
        return f"{name} has a meaning in every network namespace"
    if name.startswith(_LINK_PREFIXES):
        return f"our own links begin with {', '.join(_LINK_PREFIXES)}"
    return None


def segment_problem(name: str) -> str | None:
    """Say why no Docker network can have that name."""
    if SERVICE.fullmatch(name):
        return None
    return f"{name!r} is not lower-case letters, digits and hyphens, 1 to 40 of them"


def service_problem(name: str) -> str | None:
    """Say why no namespace and no container can have that name."""
    if name in PEERS:
        return f"{name!r} stands for a peer outside"
    return segment_problem(name)


def host_problem(name: str) -> str | None:
    """Say why no host can have that name."""
    return None if HOST.fullmatch(name) else "1 to 20 lower-case letters, digits and hyphens"


def check_instance(name: str) -> str:
    """Give an instance's name back when every mark can hold it. Raises: WrongUse."""
    problem = None if _INSTANCE.fullmatch(name) else "use 1 to 15 lower-case letters and hyphens"
    if name in _TAKEN:
        problem = "a directory of ours has that name"
    if problem is None:
        return name
    instance = f"TWINSTACK_INSTANCE={name}"
    raise WrongUse(instance, "cannot be used", problem, "choose another name")


def shortened(name: str, limit: int) -> str:
    """Fit `name` into `limit` characters, keeping names that differ apart."""
    if len(name) <= limit:
        return name
    tail = f"{zlib.crc32(name.encode()):08x}"[:5]
    return f"{name[: limit - len(tail) - 1].rstrip('-')}-{tail}"


def host_link(name: str) -> str:
    """Name the host's end of a veth pair by its name alone."""
    return shortened(f"ve-{name}", INTERFACE_MAX)


def host_links(counts: Mapping[str, int]) -> dict[str, str]:
    """Name the host's end of each replica's veth pair, given how many replicas a service has.

    What is too long loses the word "service" first; a hash is there only where two would be alike.
    """
    whole, short = {}, {}
    for service, count in counts.items():
        for number in range(1, count + 1):
            name = replica_name(service, number)
            room = INTERFACE_MAX - len("ve-") - (len(name) - len(service))
            stem = service if len(service) <= room else _without_service(service)
            short[name] = f"ve-{stem[:room].rstrip('-')}{name.removeprefix(service)}"
            whole[name] = f"ve-{name}"
    alike = Counter(short.values())
    return {
        name: link if alike[link] == 1 or link == whole[name] else host_link(name)
        for name, link in short.items()
    }


def _without_service(service: str) -> str:
    words = [word for word in service.split("-") if word != "service"]
    return "-".join(words) or service


def docker_bridge(instance: str, segment: str) -> str:
    """Name the bridge of a Docker network, so that `ip link` shows which segment it is."""
    # Not the instance's own name: its hyphens would join it with the segment's. Three digits of
    # a hash leave room for the segment's name: dk-515-frontend.
    prefix = "dk" if instance == "main" else f"dk-{zlib.crc32(instance.encode()):08x}"[:6]
    return shortened(f"{prefix}-{segment}", INTERFACE_MAX)


def chain(instance: str, suffix: str, world: str = "net") -> str:
    """Name an iptables chain of a world; `suffix` starts with a capital, as no instance does."""
    return shortened(f"TS-{instance}-{'' if world == 'net' else 'D-'}{suffix}", CHAIN_MAX)


def fault_chain(instance: str, fault: str, world: str) -> str:
    """Name the chain of a fault; without its name, how all of them begin."""
    return chain(instance, f"F-{zlib.crc32(fault.encode()):08x}"[:7] if fault else "F-", world)


def chain_pattern(instance: str, world: str) -> re.Pattern[str]:
    """Match the start of a world's chain names: TS-main-x-INPUT is of the instance main-x."""
    return re.compile(rf"TS-{instance}-{'(?!D-)' if world == 'net' else 'D-'}[A-Z]")


def replica_name(service: str, number: int) -> str:
    """Name replica `number` (from 1) of a service; the first has the service's own name."""
    return service if number == 1 else f"{service}-{number}"


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """Its own."""


_NamedT = TypeVar("_NamedT", bound=Named)


def named(replicas: Sequence[_NamedT], name: str) -> _NamedT:
    """Give a replica by its name. Raises: WrongUse that lists the names there are."""
    for replica in replicas:
        if replica.name == name:
            return replica
    known = ", ".join(replica.name for replica in replicas)
    raise WrongUse(name, "is no service", f"there are {known}", "choose one of them")


def part_instance(instance: str, part: str) -> str:
    """Name the instance that a part of another one is, such as its host `part`."""
    return shortened(f"{instance}-{part}", INSTANCE_MAX)


def link_group(instance: str) -> int:
    """Number the group that an instance's links are created in; 0 is the default, 1-255 usual."""
    return 0x74000000 | zlib.crc32(mark(instance).encode()) & 0x00FFFFFE


def mark(instance: str) -> str:
    """Give the mark that every object of an instance carries."""
    return f"{_PRODUCT}{instance}"


def instance_of(carried: str | None) -> str | None:
    """Give the instance whose mark an object carries; None if it carries none of ours."""
    if carried and carried.startswith(_PRODUCT):
        return carried.removeprefix(_PRODUCT)
    return None


def not_ours(carried: str | None) -> str:
    """Say whose an object is that carries another mark than ours, or none."""
    if instance := instance_of(carried):
        return f"belongs to instance {instance}"
    return f"is marked {carried}" if carried else "lacks our mark"
