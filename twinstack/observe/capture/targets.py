"""Which interfaces are captured, their labels and files, and the dumpcap command for each. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import WrongUse
from twinstack.linux.packet_ring import MAX_PACKET_BYTES, CapturePoint
from twinstack.world import Link

_MAX_LISTED = 12


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """How to capture."""

    seconds: float = 10  # 0: until stopped
    snap: int = 128  # bytes kept of a packet; 0: all
    size: int = 100_000_000  # most bytes of a file
    files: int = 2  # most files of a link: the newest


def label(link: Link) -> str:
    """Name an interface with its replica: br-app, nginx-lb/eth0."""
    return f"{link.replica}/{link.name}" if link.replica else link.name


def short_label(link: Link) -> str:
    """Name an interface among those of a host: only an inside end needs its replica."""
    return label(link) if link.kind == "inside" else link.name


def select_links(
    links: Sequence[Link],
    names: Iterable[str] = (),
    bridges: Iterable[str] = (),
    *,
    everything: bool = False,
) -> tuple[Link, ...]:
    """Select links by name, label or replica (its host end), and bridges by name or segment.

    Every bridge by default. Raises: WrongUse that lists what there is.
    """
    if everything:
        return tuple(links)
    all_bridges = [link for link in links if link.kind == "bridge"]
    selected: list[Link] = []
    for name in names:
        matches = [link for link in links if _is(link, name)]
        selected += matches or _unknown(f"--link {name}", links)
    for name in bridges:
        matches = [link for link in all_bridges if name in {link.name, link.segment}]
        selected += matches or _unknown(f"--bridge {name}", all_bridges)
    return tuple(dict.fromkeys(selected or all_bridges))


def host_ends(links: Sequence[Link]) -> tuple[Link, ...]:
    """Select the host end of every replica's links, which sees both directions of NAT alike.

    A bridge shows responses with the addresses that NAT has already restored, where br_netfilter
    hands its frames to iptables: the two directions would be two connections.
    """
    return tuple(link for link in links if link.kind == "host end")


def _is(link: Link, name: str) -> bool:
    if name == label(link) or (link.kind != "inside" and name == link.name):
        return True
    return link.kind == "host end" and name == link.replica


def _unknown(option: str, links: Sequence[Link]) -> list[Link]:
    names = [label(link) for link in links]
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    there = f"there are {', '.join(names[:_MAX_LISTED])}{more}"
    raise WrongUse(option, "is not there", there, "choose one of them")


def capture_point(link: Link) -> CapturePoint:
    """Give the place of a link's ring."""
    return CapturePoint(label(link), link.name, link.namespace, promiscuous=link.kind == "bridge")


def file_name(link: Link, number: int, options: CaptureOptions) -> str:
    """Name a link's file; numbered where there may be several."""
    stem = label(link).replace("/", ".")
    return f"{stem}.pcapng" if options.files == 1 else f"{stem}.{number:05}.pcapng"


def description(link: Link) -> str:
    """Describe an interface in its file."""
    where = f", namespace {link.namespace}" if link.namespace else ""
    return f"{link.kind} of {link.replica or 'the host'}, segment {link.segment or '?'}{where}"


def dumpcap_command(link: Link, folder: Path, options: CaptureOptions) -> str:
    """Give the command that captures the same with Wireshark's dumpcap."""
    words = ["nsenter", f"--net={link.namespace}"] if link.namespace else []
    words += ["dumpcap", "-q", "-i", link.name, "-s", str(options.snap or MAX_PACKET_BYTES)]
    words += [] if link.kind == "bridge" else ["-p"]
    words += ["-a", f"duration:{options.seconds:g}"] if options.seconds else []
    words += ["-a" if options.files == 1 else "-b", f"filesize:{options.size // 1000}"]
    words += [] if options.files == 1 else ["-b", f"files:{options.files}"]
    return shlex.join([*words, "-w", str(folder / file_name(link, 1, options))])
