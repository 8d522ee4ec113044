"""Watch the underlay's ports for a while: does every frame go to the one host it is for?

A frame is read where it enters the underlay, so each is counted once: at its host's port, or on a
real machine as it leaves the uplink. `judge` compares it with the plan, and is pure.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from twinstack.errors import Missing
from twinstack.model import names
from twinstack.model.placement import Host
from twinstack.model.plan import Plan
from twinstack.model.vxlan import UNDERLAY_MTU, Vtep
from twinstack.namespaces import marks
from twinstack.overlay.frames import Encapsulated, decode
from twinstack.overlay.host_plans import Spread, host_plan, tunnel_link, underlay_instance
from twinstack.printable import counted

_ETHERNET_BYTES = 14
_ETH_P_ALL = 0x0003
_MOST_EXAMPLES = 2000


@dataclass(slots=True)
class UnderlayTraffic:
    """What was seen on the underlay. Units: frames; bytes."""

    frames: int = 0
    bytes: int = 0
    delivered: int = 0  # to the host of their destination
    flooded: int = 0  # to a MAC that no replica has
    astray: int = 0  # to another host, or in another VNI, than declared
    to_everybody: int = 0  # broadcasts, one for each host that gets a copy
    cut: int = 0  # fragments, or without DF
    longest: int = 0  # outer packet
    #: The first frame of each source host, destination host and VNI.
    examples: dict[str, Encapsulated] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        return not (self.flooded or self.astray or self.cut)


@dataclass(frozen=True, slots=True)
class ExpectedFrames:
    """What the plan says of frames."""

    fdb: dict[str, tuple[str, int]]  # MAC → its host's address, VNI
    hosts: frozenset[str]  # their addresses
    vnis: frozenset[int]

    @classmethod
    def of(cls, vtep: Vtep, hosts: Iterable[object]) -> ExpectedFrames:
        fdb = {
            entry.mac: (str(entry.host or vtep.address), vtep.tunnel(entry.segment).vni)
            for entry in vtep.fdb
        }
        vnis = frozenset(tunnel.vni for tunnel in vtep.tunnels)
        return cls(fdb, frozenset(map(str, hosts)), vnis)


def expected_frames(plan: Plan, spread: Spread) -> ExpectedFrames:
    """Gather what frames are compared with."""
    vtep = host_plan(plan, spread, spread.hosts[0]).vtep
    assert vtep is not None
    return ExpectedFrames.of(vtep, (host.address for host in spread.hosts))


def is_own(kind: int, frame: Encapsulated, expected: ExpectedFrames) -> bool:
    """Say whether a frame on a machine's uplink is one to count there.

    Those that it sends are, and those that come to it from no host of ours; but none of VXLANs of
    other people, which a machine may have beside ours. `kind` is packet(7)'s, such as
    PACKET_OUTGOING.
    """
    if frame.vni not in expected.vnis and frame.inner_destination_mac not in expected.fdb:
        return False
    intrudes = kind == socket.PACKET_HOST and frame.outer_source not in expected.hosts
    return kind == socket.PACKET_OUTGOING or intrudes


def merged(parts: Iterable[UnderlayTraffic]) -> UnderlayTraffic:
    """Add what several machines counted."""
    whole = UnderlayTraffic()
    for part in parts:
        for name in ("frames", "bytes", "delivered", "flooded", "astray", "to_everybody", "cut"):
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
        whole.longest = max(whole.longest, part.longest)
        for key, frame in part.examples.items():
            whole.examples.setdefault(key, frame)
    return whole


def judge(seen: UnderlayTraffic, frame: Encapsulated, expected: ExpectedFrames) -> None:
    """Count one frame."""
    seen.frames += 1
    seen.bytes += frame.size
    seen.longest = max(seen.longest, frame.size - _ETHERNET_BYTES)
    seen.cut += not frame.whole
    behind = expected.fdb.get(frame.inner_destination_mac)
    if frame.to_many:
        seen.to_everybody += 1
    elif behind is None:
        seen.flooded += 1
    elif behind != (frame.outer_destination, frame.vni) or frame.outer_source not in expected.hosts:
        seen.astray += 1
    else:
        seen.delivered += 1
    if len(seen.examples) < _MOST_EXAMPLES:
        key = f"{frame.outer_source} → {frame.outer_destination}, VNI {frame.vni}"
        seen.examples.setdefault(key, frame)


def watch(
    plan: Plan, spread: Spread, seconds: float, meanwhile: Callable[[], object] = lambda: None
) -> UnderlayTraffic:
    """Watch for a while; `meanwhile` is called once the sockets are open.

    Units: seconds after `meanwhile`. Raises: Missing when the underlay is not up.
    """
    links = [names.host_link(host.name) for host in spread.hosts]
    _check_ours(links, names.mark(underlay_instance(plan.instance)), "overlay.up")
    return _watch(links, expected_frames(plan, spread), seconds, meanwhile, _enters_port)


def watch_uplink(
    plan: Plan, machines: Iterable[Host], seconds: float, meanwhile: Callable[[], object]
) -> UnderlayTraffic:
    """Watch what this one of the machines sends; as `watch`.

    Raises: Missing when its share is not up.
    """
    vtep = plan.vtep
    assert vtep is not None
    _check_ours([tunnel.link for tunnel in vtep.tunnels], plan.mark, "overlay.up --ssh")
    expected = ExpectedFrames.of(vtep, (machine.address for machine in machines))
    return _watch([vtep.uplink], expected, seconds, meanwhile, is_own)


def _enters_port(kind: int, _frame: Encapsulated, _expected: ExpectedFrames) -> bool:
    return kind != socket.PACKET_OUTGOING


_Counts = Callable[[int, Encapsulated, ExpectedFrames], bool]


def _watch(
    links: Sequence[str],
    expected: ExpectedFrames,
    seconds: float,
    meanwhile: Callable[[], object],
    counts: _Counts,
) -> UnderlayTraffic:
    seen = UnderlayTraffic()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for link in links:
            opened = stack.enter_context(_open(link))
            selector.register(opened, selectors.EVENT_READ, opened)
        meanwhile()
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                _read(key.data, seen, expected, counts)
    return seen


def _check_ours(links: Sequence[str], mark: str, up: str) -> None:
    """Check that links are there and carry a mark. Raises: Missing."""
    present = marks.read_identities()
    for name in links:
        link = present.get(name)
        if link is None or link.alias != mark:
            cause = f"it {names.not_ours(link.alias)}" if link else "it is absent"
            raise Missing(f"link {name}", "is not watched", cause, f'run "invoke {up}"')


def _open(link: str) -> socket.socket:
    """Open a packet socket on a link. Source: packet(7). Raises: Missing."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    with suppress(OSError):  # a larger buffer for busy moments
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    try:
        opened.bind((link, _ETH_P_ALL))
    except OSError as error:
        opened.close()
        cause, remedy = error.strerror or str(error), 'run "invoke overlay.up"'
        raise Missing(f"link {link}", "cannot be watched", cause, remedy) from error
    opened.setblocking(False)
    return opened


def _read(
    opened: socket.socket, seen: UnderlayTraffic, expected: ExpectedFrames, counts: _Counts
) -> None:
    with suppress(BlockingIOError):
        while True:
            data, address = opened.recvfrom(1 << 16)
            frame = decode(data)
            if frame is not None and counts(address[2], frame, expected):
                judge(seen, frame, expected)


def sentences(seen: UnderlayTraffic, plan: Plan) -> list[str]:
    """Summarise what was seen."""
    tunnels = ", ".join(tunnel_link(segment.name) for segment in plan.segments)
    delivered = f"{seen.delivered} to the one host of their destination"
    others = f"{seen.to_everybody} copies of broadcasts, {seen.flooded} flooded"
    return [
        f"{counted(seen.frames, 'VXLAN frame')} of {tunnels}, {seen.bytes} bytes.",
        f"{delivered}, {others}, {seen.astray} astray.",
        f"The longest outer packet had {seen.longest} bytes, of {UNDERLAY_MTU}.",
        f"{seen.cut} could have been fragmented.",
    ]
