"""Watch the underlay's ports for a while: is every frame sent to the one host that it is for?

A frame is read where it enters the underlay, so each is counted once. What it should be is
decided by the plan: `judge` is pure.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from twinstack.errors import Missing
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.model.vxlan import UNDERLAY_MTU, mac_of
from twinstack.overlay.frames import Encapsulated, decode
from twinstack.overlay.host_plans import Spread, tunnel_link

_ETHERNET_BYTES = 14
_EVERYTHING = 0x0003
_OUTGOING = 4
_KEPT = 2000


@dataclass(slots=True)
class Seen:
    """What was on the underlay. Units: frames, bytes.

    `delivered` went to the host of their destination; `flooded` had one that nobody has;
    `astray` went to another host, or in another network, than declared; `to_everybody` were
    broadcasts, one for each host that was sent a copy. `cut` were pieces, or could have become
    some; `longest` is the longest outer packet. `examples` are frames by (from host, to host, VNI).
    """

    frames: int = 0
    bytes: int = 0
    delivered: int = 0
    flooded: int = 0
    astray: int = 0
    to_everybody: int = 0
    cut: int = 0
    longest: int = 0
    examples: dict[tuple[str, str, int], Encapsulated] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        return not (self.flooded or self.astray or self.cut)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the plan says of frames: MAC → (host's address, VNI); hosts' addresses."""

    fdb: dict[str, tuple[str, int]]
    hosts: frozenset[str]


def declared(plan: Plan, spread: Spread) -> Declared:
    """Gather what a frame is held against."""
    numbers = {segment.name: spread.vni + at for at, segment in enumerate(plan.segments)}
    address = {host.name: str(host.address) for host in spread.hosts}
    return Declared(
        {
            mac_of(replica.address): (address[spread.where[replica.name]], numbers[replica.segment])
            for replica in plan.replicas
        },
        frozenset(address.values()),
    )


def judge(seen: Seen, one: Encapsulated, told: Declared) -> None:
    """Count one frame for what it is."""
    seen.frames += 1
    seen.bytes += one.size
    seen.longest = max(seen.longest, one.size - _ETHERNET_BYTES)
    seen.cut += not one.whole
    known = told.fdb.get(one.inner_destination_mac)
    if one.to_many:
        seen.to_everybody += 1
    elif known is None:
        seen.flooded += 1
    elif known != (one.outer_destination, one.vni) or one.outer_source not in told.hosts:
        seen.astray += 1
    else:
        seen.delivered += 1
    key = (one.outer_source, one.outer_destination, one.vni)
    if len(seen.examples) < _KEPT:
        seen.examples.setdefault(key, one)


def watch(
    plan: Plan, spread: Spread, seconds: float, meanwhile: Callable[[], object] = lambda: None
) -> Seen:
    """Watch for a while; `meanwhile` is done once the sockets are open.

    Units: seconds after `meanwhile`. Raises: Missing when the underlay is not up.
    """
    seen, told = Seen(), declared(plan, spread)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for link in _ports(spread):
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
            stack.callback(one.close)
            with suppress(OSError):  # a busy moment is not to be missed
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            try:
                one.bind((link, _EVERYTHING))
            except OSError as error:
                raise Missing(
                    f"link {link}",
                    "cannot be watched",
                    error.strerror or str(error),
                    'run "invoke overlay.up"',
                ) from error
            one.setblocking(False)
            selector.register(one, selectors.EVENT_READ)
        meanwhile()
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                opened = key.fileobj
                assert isinstance(opened, socket.socket)
                _read(opened, seen, told)
    return seen


def _read(one: socket.socket, seen: Seen, told: Declared) -> None:
    with suppress(BlockingIOError):
        while True:
            frame, where = one.recvfrom(1 << 16)
            if where[2] != _OUTGOING and (found := decode(frame)) is not None:
                judge(seen, found, told)


def _ports(spread: Spread) -> Sequence[str]:
    return [names.host_link(host.name) for host in spread.hosts]


def sentences(seen: Seen, plan: Plan) -> list[str]:
    """Say what was seen."""
    segments = ", ".join(tunnel_link(one.name) for one in plan.segments)
    where = f"{seen.delivered} to the one host of their destination"
    else_ = f"{seen.flooded} flooded, {seen.astray} astray"
    return [
        f"{seen.frames} VXLAN frames of {segments}, {seen.bytes} bytes.",
        f"{where}, {seen.to_everybody} copies of broadcasts, {else_}.",
        f"The longest outer packet had {seen.longest} bytes, of {UNDERLAY_MTU}.",
        f"{seen.cut} could have been cut in pieces.",
    ]
