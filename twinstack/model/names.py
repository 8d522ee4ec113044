"""Names that the kernel, iptables and Docker accept, derived and never stored.

The kernel allows 15 characters for an interface and iptables 28 for a chain. A name that is
too long keeps its readable head and gets a short hash for a tail, so it stays the same from
run to run and two long names do not meet.
"""

from __future__ import annotations

import re
import zlib

from twinstack.errors import TwinstackError

INTERFACE_MAX = 15
CHAIN_MAX = 28
INSTANCE_MAX = 15
_INSTANCE = re.compile(r"[a-z][a-z0-9-]{0,13}[a-z0-9]|[a-z]")
#: Directories beside those of the instances.
_TAKEN = frozenset({"roots", "software", "docker", "agent"})
_SERVICE = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")


def interface_problem(name: str) -> str | None:
    """Say why the kernel would refuse `name` for an interface, or None. Source: dev_valid_name."""
    if len(name) > INTERFACE_MAX:
        return f"{name!r} has {len(name)} characters, the kernel allows {INTERFACE_MAX}"
    if not name or name in {".", ".."} or re.search(r"[\s/:%]", name):
        return f"{name!r} is no name for an interface"
    return None


def service_problem(name: str) -> str | None:
    """Say why `name` can name neither a namespace nor a container, or None."""
    if _SERVICE.fullmatch(name):
        return None
    return f"{name!r} is not lower-case letters, digits and hyphens, 1 to 40 of them"


def check_instance(name: str) -> str:
    """Give back an instance's name that can stand in every mark.

    Raises: TwinstackError for anything but 1 to 15 lower-case letters, digits and hyphens.
    """
    if not _INSTANCE.fullmatch(name):
        raise TwinstackError(
            f"TWINSTACK_INSTANCE={name}",
            "cannot be used",
            "an instance is named by 1 to 15 lower-case letters, digits and hyphens",
            "choose another name",
        )
    if name in _TAKEN:
        raise TwinstackError(
            f"TWINSTACK_INSTANCE={name}",
            "cannot be used",
            "a directory of ours has that name",
            "choose another name",
        )
    return name


def shortened(name: str, limit: int) -> str:
    """Fit `name` into `limit` characters, keeping names that differ apart."""
    if len(name) <= limit:
        return name
    tail = f"{zlib.crc32(name.encode()):08x}"[:5]
    return f"{name[: limit - len(tail) - 1].rstrip('-')}-{tail}"


def host_link(replica: str) -> str:
    """Name the host's end of a replica's veth pair."""
    return shortened(f"ve-{replica}", INTERFACE_MAX)


def docker_bridge(instance: str, segment: str) -> str:
    """Name the bridge behind a Docker network, so that `ip link` tells whose it is."""
    # Not the instance's own name: its hyphens would join it with the segment's.
    prefix = "dk" if instance == "main" else f"dk-{zlib.crc32(instance.encode()):08x}"[:8]
    return shortened(f"{prefix}-{segment}", INTERFACE_MAX)


def chain(instance: str, suffix: str, world: str = "net") -> str:
    """Name an iptables chain of a world; `suffix` starts with a capital, as no instance does."""
    return shortened(f"TS-{instance}-{'' if world == 'net' else 'D-'}{suffix}", CHAIN_MAX)


def chain_pattern(instance: str, world: str) -> re.Pattern[str]:
    """Match the start of a world's chain names: TS-main-x-INPUT is of the instance main-x."""
    return re.compile(rf"TS-{instance}-{'(?!D-)' if world == 'net' else 'D-'}[A-Z]")


def replica_name(service: str, number: int) -> str:
    """Name replica `number` (from 1) of a service: the first bears the service's own name."""
    return service if number == 1 else f"{service}-{number}"


def part_instance(instance: str, part: str) -> str:
    """Name the instance that a part of another one is, such as its host `part`."""
    return shortened(f"{instance}-{part}", INSTANCE_MAX)


def link_group(instance: str) -> int:
    """Number the group that an instance's links are born into; 0 is everybody's, 1 to 255 usual."""
    return 0x74000000 | zlib.crc32(mark(instance).encode()) & 0x00FFFFFE


def mark(instance: str) -> str:
    """Give the mark that every object of an instance carries."""
    return f"twinstack:{instance}"
