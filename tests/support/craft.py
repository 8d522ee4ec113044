"""Capture files made by hand, byte by byte, and what tshark says of them."""

from __future__ import annotations

import re
import struct
import subprocess
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from tests.support.project import ROOT
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.observe.traffic.analysis import analyse
from twinstack.observe.traffic.capture_file import CaptureFile, open_capture
from twinstack.observe.traffic.peers import PeerDirectory
from twinstack.observe.traffic.report import PairTraffic, TrafficReport

START_NS = 1_700_000_000_000_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
HOST = "10.0.0.1"
NGINX = "10.0.0.10"
GATEWAY = "10.0.0.20"
PRODUCT = "10.0.0.30"
PRODUCT2 = "10.0.0.31"
ORDER = "10.0.0.40"
REDIS = "10.0.0.50"
CLIENT = "203.0.113.10"


@cache
def peers() -> PeerDirectory:
    topology = load(ROOT / "topology.yml")
    return PeerDirectory([resolve(topology, shape) for shape in topology.shapes])


def report(*files: Path) -> TrafficReport:
    return analyse(files, peers())


def pair(report: TrafficReport, client: str, server: str, protocol: str = "TCP") -> PairTraffic:
    wanted = (client, server, protocol)
    (match,) = [p for p in report.pairs if (p.client, p.server, p.protocol) == wanted]
    return match


def packets_by_pair(report: TrafficReport) -> dict[tuple[str, str, str, int | None], int]:
    return {(p.client, p.server, p.protocol, p.server_port): p.packets for p in report.pairs}


def ipv4(
    source: str,
    target: str,
    protocol: int,
    payload: bytes,
    *,
    ident: int = 0,
    ttl: int = 64,
    fragment: int = 0,
    options: bytes = b"",
    length: int | None = None,
) -> bytes:
    size = 20 + len(options)
    total = (size + len(payload) if length is None else length) & 0xFFFF
    head = struct.pack(">BBHHH", 0x40 | size // 4, 0, total, ident & 0xFFFF, fragment)
    head += struct.pack(">BBH", ttl, protocol, 0)
    return head + ip_address(source).packed + ip_address(target).packed + options + payload


def ipv6(source: str, target: str, following: int, payload: bytes) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(payload), following, 64)
    return head + ip_address(source).packed + ip_address(target).packed + payload


def tcp(
    source: int,
    target: int,
    flags: int,
    *,
    seq: int = 0,
    ack: int = 0,
    payload: bytes = b"",
    window: int = 64240,
) -> bytes:
    numbers = struct.pack(">HHII", source, target, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF)
    return numbers + struct.pack(">BBHHH", 5 << 4, flags, window, 0, 0) + payload


def udp(source: int, target: int, payload: bytes = b"") -> bytes:
    return struct.pack(">HHHH", source, target, 8 + len(payload), 0) + payload


def icmp(kind: int = 8, ident: int = 1, number: int = 1, payload: bytes = b"ping" * 8) -> bytes:
    return struct.pack(">BBHHH", kind, 0, 0, ident, number) + payload


def arp(sender: str, target: str, operation: int = 1) -> bytes:
    head = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation)
    sender_mac, target_mac = b"\x02" * 6, bytes(6)
    return head + sender_mac + ip_address(sender).packed + target_mac + ip_address(target).packed


def ethernet(packet: bytes, kind: int | None = None, tags: Sequence[int] = ()) -> bytes:
    if kind is None:
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    tagged = b"".join(
        struct.pack(">HH", 0x88A8 if number + 1 < len(tags) else 0x8100, tag)
        for number, tag in enumerate(tags)
    )
    return bytes.fromhex("02000000000202000000 0001") + tagged + struct.pack(">H", kind) + packet


def vxlan(
    frame: bytes, vni: int = 100, source: str = "192.0.2.1", target: str = "192.0.2.2"
) -> bytes:
    carried = struct.pack(">II", 0x08 << 24, vni << 8) + frame
    return ethernet(ipv4(source, target, 17, udp(50000, 4789, carried), ident=1))


@dataclass(frozen=True)
class Frame:
    """A captured frame. `length` is what it had on the wire, when that was more."""

    data: bytes
    time_ns: int = START_NS
    interface: int = 0
    length: int | None = None

    @property
    def wire(self) -> int:
        return len(self.data) if self.length is None else self.length


def spaced(frames: Iterable[bytes], step_ns: int = 100_000) -> list[Frame]:
    return [Frame(data, START_NS + number * step_ns) for number, data in enumerate(frames)]


def cut(frames: Iterable[Frame], snap_length: int) -> list[Frame]:
    return [replace(frame, data=frame.data[:snap_length], length=frame.wire) for frame in frames]


def pcap(
    path: Path,
    frames: Iterable[Frame],
    *,
    order: str = "<",
    ns: bool = False,
    link: int = 1,
    snap_length: int = 262144,
) -> Path:
    magic, unit = (0xA1B23C4D, 1) if ns else (0xA1B2C3D4, 1000)
    with path.open("wb") as file:
        file.write(struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap_length, link))
        for frame in frames:
            seconds, rest = divmod(frame.time_ns, 1_000_000_000)
            file.write(
                struct.pack(f"{order}IIII", seconds, rest // unit, len(frame.data), frame.wire)
            )
            file.write(frame.data)
    return path


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


@dataclass(frozen=True)
class Interface:
    """An interface as a pcapng file describes it."""

    name: str = ""
    link: int = 1
    snap_length: int = 0
    resolution: int | None = None
    offset_s: int | None = None


def section(order: str = "<") -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))


def described(interface: Interface, order: str = "<") -> bytes:
    body = struct.pack(f"{order}HHI", interface.link, 0, interface.snap_length)
    if interface.name:
        body += option(order, 2, interface.name.encode())
    if interface.resolution is not None:
        body += option(order, 9, bytes([interface.resolution]))
    if interface.offset_s is not None:
        body += option(order, 14, struct.pack(f"{order}q", interface.offset_s))
    return block(order, 1, body + option(order, 0, b""))


def enhanced(frame: Frame, ticks: int | None = None, order: str = "<") -> bytes:
    ticks = frame.time_ns // 1000 if ticks is None else ticks
    head = struct.pack(f"{order}III", frame.interface, ticks >> 32, ticks & 0xFFFFFFFF)
    return block(
        order, 6, head + struct.pack(f"{order}II", len(frame.data), frame.wire) + frame.data
    )


def simple(frame: Frame, order: str = "<") -> bytes:
    return block(order, 3, struct.pack(f"{order}I", frame.wire) + frame.data)


def pcapng(
    path: Path,
    frames: Iterable[Frame],
    interfaces: Sequence[Interface] = (Interface(),),
    *,
    order: str = "<",
) -> Path:
    blocks = [section(order), *(described(interface, order) for interface in interfaces)]
    path.write_bytes(b"".join([*blocks, *(enhanced(frame, order=order) for frame in frames)]))
    return path


def records(path: Path) -> tuple[list[tuple[int, bytes, int, int]], CaptureFile]:
    """Read a file's records: time, bytes, length on the wire, interface."""
    capture = open_capture(path)
    rows = []
    for batch in capture.batches():
        columns = (batch.start, batch.captured, batch.time_ns, batch.length, batch.interface)
        for start, captured, time_ns, length, interface in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            data = batch.data[start : start + captured].tobytes()
            rows.append((time_ns, data, length, interface))
    return rows, capture


#: Some frames, and the records that a file of them has.
FRAMES = [Frame(bytes([number]) * (60 + number), START_NS + number * 1000) for number in range(9)]
RECORDS = [(frame.time_ns, frame.data, frame.wire, 0) for frame in FRAMES]


def sighted(packets: Sequence[bytes], interfaces: int, *, step_ns: int = 100_000) -> list[Frame]:
    """Let each interface see every packet in turn, a microsecond apart."""
    return [
        Frame(ethernet(packet), START_NS + number * step_ns + place * 1000, place)
        for number, packet in enumerate(packets)
        for place in range(interfaces)
    ]


@dataclass
class Connection:
    """A TCP connection, packet by packet; `sent` has the IP packets of both ends."""

    client: str
    server: str
    port: int
    client_port: int = 40000
    seq: list[int] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    ident: int = 1

    def __post_init__(self) -> None:
        """Begin at numbers of its own, as TCP does."""
        begin = zlib.crc32(f"{self.client} {self.server} {self.client_port}".encode())
        self.seq = self.seq or [begin, begin ^ 0x55555555]

    def send(
        self, side: int, flags: int, payload: bytes = b"", *, again: int = 0, window: int = 64240
    ) -> bytes:
        """Send a segment; `again` sends so many bytes of what was sent before once more."""
        ports = (self.client_port, self.port) if side == 0 else (self.port, self.client_port)
        ends = (self.client, self.server) if side == 0 else (self.server, self.client)
        segment = tcp(
            *ports,
            flags,
            seq=self.seq[side] - again,
            payload=payload,
            window=window,
            ack=self.seq[1 - side] if flags & ACK else 0,
        )
        self.ident += 1
        packet = ipv4(*ends, 6, segment, ident=self.ident)
        if not again:
            self.seq[side] += len(payload) + bool(flags & (SYN | FIN))
        self.sent.append(packet)
        return packet

    def open(self) -> Connection:
        self.send(0, SYN)
        self.send(1, SYN | ACK)
        self.send(0, ACK)
        return self

    def ask(self, path: str = "/api/products", status: int = 200) -> Connection:
        self.send(0, PSH | ACK, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.send(1, ACK)
        self.send(1, PSH | ACK, f"HTTP/1.1 {status} OK\r\nContent-Length: 2\r\n\r\nok".encode())
        self.send(0, ACK)
        return self

    def close(self) -> Connection:
        self.send(0, FIN | ACK)
        self.send(1, FIN | ACK)
        self.send(0, ACK)
        return self

    def frames(self) -> list[Frame]:
        return spaced(ethernet(packet) for packet in self.sent)


def connections(folder: Path, *connections: Connection) -> Path:
    """Write the packets of some connections, one connection after the other."""
    packets = [ethernet(packet) for connection in connections for packet in connection.sent]
    return pcap(folder / "a.pcap", spaced(packets))


def tshark(*words: str) -> str:
    return _run("tshark", *words).stdout


def tshark_counts(file: Path) -> tuple[int, int]:
    """Give packets and bytes as tshark counts them; its table is empty without a duration."""
    table = tshark("-q", "-z", "io,stat,0", "-r", str(file))
    counts = re.search(r"<>[^|]*\|\s*(\d+) \|\s*(\d+) \|", table)
    if counts is None:
        counts = re.search(
            r"\t(\d+)\t(\d+)$", _run("capinfos", "-cdMT", "-r", str(file)).stdout.strip()
        )
    assert counts is not None, table
    return int(counts[1]), int(counts[2])


def tshark_matching(file: Path, condition: str) -> int:
    """Count the packets that match a display filter of tshark's."""
    return len(tshark("-r", str(file), "-Y", condition, *_NUMBERS).split())


def tshark_frames(file: Path) -> int | None:
    """Count the packets that tshark reads; None when it reports damage."""
    done = _run("tshark", "-r", str(file), *_NUMBERS)
    return len(done.stdout.split()) if done.returncode == 0 else None


_NUMBERS = ("-T", "fields", "-e", "frame.number")


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)
