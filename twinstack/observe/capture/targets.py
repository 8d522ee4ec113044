"""Which interfaces are captured, what each is called, and the same as a command; pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import Missing, TwinstackError
from twinstack.linux.packet_ring import Place
from twinstack.world import Link

_LISTED = 12


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """How to capture. Units: snap and size in bytes, seconds; 0 seconds go on until stopped.

    `snap` 0 keeps packets whole. A link has at most `files` files of at most `size`, the latest.
    """

    seconds: float = 10
    snap: int = 128
    size: int = 100_000_000
    files: int = 2


def label(link: Link) -> str:
    """Name an interface so that one sees whose it is: br-app, nginx-lb/eth0."""
    return f"{link.replica}/{link.name}" if link.replica else link.name


def short(link: Link) -> str:
    """Name an interface among a host's: only an inside end needs to say whose it is."""
    return label(link) if link.kind == "inside" else link.name


def there(world: str, links: Sequence[Link]) -> Sequence[Link]:
    """Give the links of a world. Raises: Missing when it has none: it is not up."""
    if not links:
        raise Missing(
            f"{world} world", "has nothing to listen to", "it is not up", f'run "invoke {world}.up"'
        )
    return links


def chosen(
    links: Sequence[Link],
    names: Iterable[str] = (),
    bridges: Iterable[str] = (),
    *,
    everything: bool = False,
) -> tuple[Link, ...]:
    """Choose links: by name, label or replica (its end on the host); bridges by name or segment.

    Every bridge, where nothing is said. Raises: Missing when no link is there; TwinstackError
    that lists what there is.
    """
    _up(links)
    if everything:
        return tuple(links)
    there = [one for one in links if one.kind == "bridge"]
    found: list[Link] = []
    for word in names:
        found += _known(f"--link {word}", links, [one for one in links if _is(one, word)])
    for word in bridges:
        meant = [one for one in there if word in {one.name, one.segment}]
        found += _known(f"--bridge {word}", there, meant)
    return tuple(dict.fromkeys(found or there))


def outer(links: Sequence[Link]) -> tuple[Link, ...]:
    """Choose the end on the host of every replica's links: what tells both ways of NAT alike.

    A bridge shows answers with the addresses that NAT gave them back already, where br_netfilter
    hands its frames to iptables: there and back would be two connections. Raises: Missing.
    """
    _up(links)
    return tuple(one for one in links if one.kind == "host end")


def _up(links: Sequence[Link]) -> None:
    if not links:
        raise Missing(
            "capture",
            "has nothing to listen to",
            "this world is not up",
            'run "invoke net.up" or "invoke docker.up"',
        )


def _is(link: Link, word: str) -> bool:
    if word == label(link) or (link.kind != "inside" and word == link.name):
        return True
    return link.kind == "host end" and word == link.replica


def _known(option: str, links: Sequence[Link], meant: list[Link]) -> list[Link]:
    if not meant:
        names = [label(one) for one in links]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        there = f"there are {', '.join(names[:_LISTED])}{more}"
        raise TwinstackError(option, "is not there", there, "choose one of them")
    return meant


def place(link: Link) -> Place:
    """Say where a link is listened to."""
    return Place(label(link), link.name, link.namespace, promiscuous=link.kind == "bridge")


def file_name(link: Link, number: int, wanted: CaptureOptions) -> str:
    """Name a link's file; numbered where there may be several."""
    stem = label(link).replace("/", ".")
    return f"{stem}.pcapng" if wanted.files == 1 else f"{stem}.{number:05}.pcapng"


def described(link: Link) -> str:
    """Describe an interface in its file."""
    where = f", namespace {link.namespace}" if link.namespace else ""
    return f"{link.kind} of {link.replica or 'the host'}, segment {link.segment or '?'}{where}"


def same_as(link: Link, folder: Path, wanted: CaptureOptions) -> str:
    """Give the command that captures the same with Wireshark's dumpcap."""
    words = ["nsenter", f"--net={link.namespace}"] if link.namespace else []
    words += ["dumpcap", "-q", "-i", link.name, "-s", str(wanted.snap or 262_144)]
    words += [] if link.kind == "bridge" else ["-p"]
    words += ["-a", f"duration:{wanted.seconds:g}"] if wanted.seconds else []
    rotation = "-a" if wanted.files == 1 else "-b"
    words += [rotation, f"filesize:{wanted.size // 1000}"]
    words += [] if wanted.files == 1 else ["-b", f"files:{wanted.files}"]
    return shlex.join([*words, "-w", str(folder / file_name(link, 1, wanted))])
