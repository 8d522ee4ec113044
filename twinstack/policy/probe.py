"""Ask every question of the truth table at once: a child in each source, listeners everywhere.

A listener stands on every probed port where no service does, so that silence means "denied" and
not "nobody there". All sockets of a source wait together; a TCP port is open when its
handshake and the end of the connection were both acknowledged, so that one packet that slips
through is not taken for a connection.
"""

from __future__ import annotations

import errno
import fcntl
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path

from twinstack.linux import child as entering
from twinstack.model.plan import HOST
from twinstack.policy.truth_table import Cell

WAIT_S = 1.0
OPEN = "open"
SILENCE = "no answer"
_SIOCGIFADDR, _SIOCGIFHWADDR = 0x8915, 0x8927
#: States of tcp_info in which our FIN has been acknowledged: FIN_WAIT2, TIME_WAIT, CLOSE.
_FIN_ACKNOWLEDGED = frozenset({5, 6, 7})
#: What a service behind a proxy is asked: any answer to it is the service's own.
_QUESTION = b"GET / HTTP/1.0\r\n\r\n"
_TCP_ESTABLISHED, _TCP_SYN_SENT = 1, 2
_BACKLOG = 4096
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_ECHO6_REQUEST, _ECHO6_REPLY = 128, 129
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as its owner sees it: where others on it would find it by IPv6."""

    index: int
    address: str
    hardware: bytes
    link_local: str | None

    @property
    def ipv6(self) -> str:
        """Give its link-local address, or the one that it would make of its hardware's."""
        if self.link_local:
            return self.link_local
        mac = self.hardware
        inner = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
        return str(IPv6Address(b"\xfe\x80" + bytes(6) + inner))


@dataclass(frozen=True, slots=True)
class Question:
    """A cell with the address to try; an interface's index where that needs one."""

    cell: Cell
    address: str
    scope: int = 0


def ask(
    cells: Sequence[Cell],
    places: Mapping[str, Path | None],
    own: Mapping[tuple[str, str], str],
    wait_s: float = WAIT_S,
) -> dict[Cell, str]:
    """Ask every cell whose address is known; gives `OPEN`, or in which way it was closed.

    `places` maps each endpoint to its network namespace, None for the one that we are in; `own`
    an endpoint's address on a segment, by (endpoint, segment). Raises: StepFailed, OSError.
    """
    with ExitStack() as stack:
        links: dict[str, tuple[Link, ...]] = {}
        waiting = []
        for name, place in places.items():
            wanted = sorted(
                {
                    (cell.protocol, cell.address, cell.port)
                    for cell in cells
                    if cell.destination == name
                    and cell.port
                    and not (name == HOST and cell.upstream)
                }
            )
            listening: list[socket.socket] = []
            child = entering.start(
                name, place, partial(_listen, wanted, listening), partial(_serve, listening)
            )
            stack.callback(child.end)
            waiting.append((name, child))
        for name, child in waiting:
            links[name] = child.answer()
        questions = [_question(cell, links, own) for cell in cells]
        askers = []
        for name, place in places.items():
            mine = [one for one in questions if one.cell.source == name]
            if mine:
                child = entering.start(name, place, partial(_ask, mine, wait_s))
                stack.callback(child.end)
                askers.append((mine, child))
        found: dict[Cell, str] = {}
        for mine, child in askers:
            found |= {one.cell: said for one, said in zip(mine, child.answer(), strict=True)}
    return found


def _question(
    cell: Cell, links: Mapping[str, tuple[Link, ...]], own: Mapping[tuple[str, str], str]
) -> Question:
    if not cell.protocol.endswith("6"):
        return Question(cell, cell.address)
    mine = _link_on(links, own, cell.source, cell.segment)
    theirs = _link_on(links, own, cell.destination, cell.segment)
    if mine is None or theirs is None:
        return Question(cell, "")
    return Question(replace(cell), theirs.ipv6, mine.index)


def _link_on(
    links: Mapping[str, tuple[Link, ...]],
    own: Mapping[tuple[str, str], str],
    name: str,
    segment: str,
) -> Link | None:
    address = own.get((name, segment))
    return next((link for link in links.get(name, ()) if link.address == address), None)


def _listen(
    wanted: Iterable[tuple[str, str, int]], listening: list[socket.socket]
) -> tuple[Link, ...]:
    """Listen where nobody does, and say which interfaces there are."""
    for protocol, address, port in wanted:
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if protocol == "tcp6" else socket.AF_INET
        one = socket.socket(family, kind)
        try:
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address or ("::" if family == socket.AF_INET6 else "0.0.0.0"), port))
            if kind == socket.SOCK_STREAM:
                one.listen(_BACKLOG)
        except OSError as error:
            one.close()
            if error.errno != errno.EADDRINUSE:  # a service listens: it is the better listener
                raise
            continue
        one.setblocking(False)
        listening.append(one)
    return tuple(_links())


def _serve(listening: list[socket.socket]) -> None:
    """Send every datagram back, for as long as this child lives; TCP the kernel answers."""
    with selectors.DefaultSelector() as selector:
        for one in listening:
            if one.type == socket.SOCK_DGRAM:
                selector.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(None if selector.get_map() else 3600):
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                with suppress(OSError):
                    data, who = ready.recvfrom(64)
                    ready.sendto(data, who)


def _links() -> Iterator[Link]:
    local = {}
    with suppress(FileNotFoundError):
        for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines():
            words = line.split()
            if words[0].startswith("fe80"):
                local[words[5]] = str(IPv6Address(bytes.fromhex(words[0])))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for index, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode())
            try:
                reply = fcntl.ioctl(any_socket, _SIOCGIFADDR, request)
                hardware = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, request)[18:24]
            except OSError:  # it has no address
                continue
            yield Link(index, socket.inet_ntoa(reply[20:24]), hardware, local.get(name))


def _ask(questions: Sequence[Question], wait_s: float) -> list[str]:
    """Ask all at once, in the namespace that we are in, and give the answers in their order."""
    said: list[str | None] = [None] * len(questions)
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        pings = _Pings(stack, selector)
        closing: dict[int, socket.socket] = {}

        def tell(place: int, answer: str) -> None:
            said[place] = said[place] or answer

        for place, one in enumerate(questions):
            try:
                if not one.address:
                    tell(place, "no interface there")
                elif one.cell.protocol.startswith("icmp"):
                    pings.send(place, one)
                else:
                    stack.callback(_connect(place, one, selector).close)
            except OSError as error:
                tell(place, _word(error))
        deadline = time.monotonic() + wait_s
        late = False
        while None in said and not late:
            # On a busy machine the time may be over with answers unread: read them first.
            late = time.monotonic() > deadline
            for key, _ in selector.select(_POLL_S):
                one_socket = key.fileobj
                assert isinstance(one_socket, socket.socket)
                if key.data == "pings":
                    for place in pings.receive(one_socket):
                        tell(place, OPEN)
                    continue
                selector.unregister(one_socket)
                if questions[key.data].cell.proxied:
                    _through_proxy(key.data, one_socket, selector, key.events, tell)
                else:
                    _heard(key.data, one_socket, closing, tell)
            for place, one_socket in list(closing.items()):
                if _state(one_socket) in _FIN_ACKNOWLEDGED:
                    tell(place, OPEN)
                    del closing[place]
    return [answer or SILENCE for answer in said]


def _connect(place: int, one: Question, selector: selectors.BaseSelector) -> socket.socket:
    kind = socket.SOCK_DGRAM if one.cell.protocol == "udp" else socket.SOCK_STREAM
    family = socket.AF_INET6 if one.cell.protocol == "tcp6" else socket.AF_INET
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if kind == socket.SOCK_STREAM:  # gone at once when closed: no state is left in the kernel
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        where: tuple[object, ...] = (one.address, one.cell.port)
        if family == socket.AF_INET6:
            where = (one.address, one.cell.port, 0, one.scope)
        code = made.connect_ex(where)
        if code not in {0, errno.EINPROGRESS}:
            raise OSError(code, os.strerror(code))
        if kind == socket.SOCK_DGRAM:
            made.send(b"twinstack")
        event = selectors.EVENT_READ if kind == socket.SOCK_DGRAM else selectors.EVENT_WRITE
        selector.register(made, event, place)
    except OSError:
        made.close()
        raise
    return made


def _heard(
    place: int,
    one: socket.socket,
    closing: dict[int, socket.socket],
    tell: Callable[[int, str], None],
) -> None:
    """Take what a socket has to say: an error, a datagram, or a connection to be ended."""
    try:
        if one.type == socket.SOCK_DGRAM:
            one.recv(64)
            tell(place, OPEN)
            return
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        one.shutdown(socket.SHUT_WR)
        closing[place] = one
    except OSError as error:
        tell(place, _word(error))


def _through_proxy(
    place: int,
    one: socket.socket,
    selector: selectors.BaseSelector,
    events: int,
    tell: Callable[[int, str], None],
) -> None:
    """Ask what is behind a proxy, once it has taken the connection: only data is an answer."""
    try:
        if events & selectors.EVENT_READ:
            tell(place, OPEN if one.recv(64) else "ended by the proxy")
            return
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        one.send(_QUESTION)
        selector.register(one, selectors.EVENT_READ, place)
    except OSError as error:
        tell(place, _word(error))


def _state(one: socket.socket) -> int:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _word(error: OSError) -> str:
    words = {
        errno.ECONNREFUSED: "refused",
        errno.EPERM: "not permitted",
        errno.EADDRNOTAVAIL: "no address",
        errno.ENETUNREACH: "no route",
        errno.EHOSTUNREACH: "no route",
        errno.EACCES: "not permitted",
    }
    return words.get(error.errno or 0, error.strerror or str(error))


class _Pings:
    """Echo requests by raw sockets, one for each version of IP; an answer tells its number."""

    def __init__(self, stack: ExitStack, selector: selectors.BaseSelector) -> None:
        self._stack = stack
        self._selector = selector
        self._sockets: dict[str, socket.socket] = {}
        self._identity = os.getpid() & 0xFFFF

    def send(self, place: int, one: Question) -> None:
        raw = self._sockets.get(one.cell.protocol) or self._open(one.cell.protocol)
        if one.cell.protocol == "icmp":
            raw.sendto(_echo(_ECHO_REQUEST, self._identity, place), (one.address, 0))
        else:
            packet = struct.pack("!BBHHH", _ECHO6_REQUEST, 0, 0, self._identity, place)
            raw.sendto(packet, (one.address, 0, 0, one.scope))

    def receive(self, raw: socket.socket) -> Iterator[int]:
        with suppress(BlockingIOError):
            while True:
                data = raw.recv(256)
                start = (data[0] & 0x0F) * 4 if raw.family == socket.AF_INET else 0
                if len(data) < start + 8:
                    continue
                kind, _, _, identity, place = struct.unpack_from("!BBHHH", data, start)
                reply = _ECHO_REPLY if raw.family == socket.AF_INET else _ECHO6_REPLY
                if (kind, identity) == (reply, self._identity):
                    yield place

    def _open(self, protocol: str) -> socket.socket:
        family = socket.AF_INET if protocol == "icmp" else socket.AF_INET6
        number = socket.IPPROTO_ICMP if protocol == "icmp" else socket.IPPROTO_ICMPV6
        raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, number)
        self._stack.callback(raw.close)
        self._selector.register(raw, selectors.EVENT_READ, "pings")
        self._sockets[protocol] = raw
        return raw


def _echo(kind: int, identity: int, number: int) -> bytes:
    """Write an ICMP echo with its checksum. Source: RFC 792."""
    head = struct.pack("!BBHHH", kind, 0, 0, identity, number)
    total = sum(struct.unpack("!4H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHHH", kind, 0, ~total & 0xFFFF, identity, number)
