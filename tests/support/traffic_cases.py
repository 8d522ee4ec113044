"""Capture files of every kind, whole and damaged, for the reader."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import craft
from tests.support.craft import (
    ACK,
    PSH,
    Connection,
    Frame,
    Interface,
    ethernet,
    ipv4,
    ipv6,
    tcp,
    udp,
)

REQUEST = b"GET /api/products HTTP/1.1\r\n\r\n"

SEGMENT = tcp(40000, 3000, PSH | ACK, seq=1, ack=1, payload=REQUEST)

PACKET = ipv4(craft.NGINX, craft.GATEWAY, 6, SEGMENT, ident=5)

CARRIED = [
    (1, ethernet(PACKET)),
    (1, ethernet(PACKET) + bytes(6)),  # padding
    (1, ethernet(PACKET, tags=[5])),
    (1, ethernet(PACKET, tags=[7, 5])),
    (1, ethernet(ipv4(craft.NGINX, craft.GATEWAY, 6, SEGMENT, options=b"\x01" * 8))),
    (1, ethernet(ipv4(craft.NGINX, craft.GATEWAY, 6, SEGMENT, length=0))),  # left to the card
    (113, struct.pack(">HHH6s2xH", 0, 1, 6, b"\x02" * 6, 0x0800) + PACKET),
    (276, struct.pack(">HHIHBB8s", 0x0800, 0, 3, 1, 0, 6, b"\x02" * 8) + PACKET),
    (101, PACKET),
    (228, PACKET),
    (12, PACKET),
    (0, struct.pack("<I", 2) + PACKET),
    (0, struct.pack(">I", 2) + PACKET),
    (108, struct.pack(">I", 2) + PACKET),
    (1, craft.vxlan(ethernet(PACKET))),
    (1, craft.vxlan(ethernet(PACKET, tags=[3]))),
    (
        1,
        ethernet(
            ipv4(
                "192.0.2.1",
                "192.0.2.2",
                17,
                udp(50000, 8472, struct.pack(">II", 0x08 << 24, 5 << 8) + ethernet(PACKET)),
            )
        ),
    ),
]

EVIL_PATH = "/<script>alert(1)</script>"

#: (what to do, where in the file as a part of 2^16, with which value)
Damage = tuple[int, int, int]
KINDS = 7
LINKS = [0, 1, 12, 101, 108, 113, 147, 228, 229, 276]
#: Numbers at which arithmetic turns.
_EDGES = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    12,
    13,
    14,
    16,
    19,
    20,
    27,
    28,
    31,
    32,
    39,
    40,
    63,
    64,
    127,
    128,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x3FFFF,
    0x40000,
    0x40001,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
]


def example(folder: Path) -> Path:
    """Write a capture that has every section of a report."""
    frames: list[bytes] = []
    for port in range(40000, 40020):
        for connection in (
            Connection(craft.CLIENT, craft.NGINX, 80, port).open().ask(EVIL_PATH).close(),
            Connection(craft.NGINX, craft.GATEWAY, 3000, port).open().ask().close(),
            Connection(craft.PRODUCT, craft.PRODUCT2, 5000, port).open(),
        ):
            frames += map(ethernet, connection.sent)
    frames.append(craft.vxlan(ethernet(craft.arp(craft.NGINX, craft.HOST), 0x0806)))
    return craft.pcapng(folder / "a.pcapng", craft.spaced(frames), [Interface("br-app")])


@cache
def whole_files() -> tuple[bytes, ...]:
    """Give small captures of every form, with every kind of frame that is decoded."""
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask()
    connection.send(0, ACK, b"x" * 50)
    connection.send(0, ACK, b"x" * 50, again=50)
    connection.close()
    whole = craft.udp(40000, 4789, bytes(2000))
    others = [
        ethernet(craft.arp(craft.GATEWAY, craft.HOST), 0x0806),
        ethernet(ipv4(craft.GATEWAY, craft.PRODUCT, 17, whole[:1480], ident=9, fragment=0x2000)),
        ethernet(ipv4(craft.GATEWAY, craft.PRODUCT, 17, whole[1480:], ident=9, fragment=185)),
        ethernet(
            ipv6(
                "2001:db8::1",
                "2001:db8::2",
                0,
                struct.pack(">BB6x", 44, 0)
                + struct.pack(">BBHI", 6, 0, 1, 5)
                + craft.tcp(1, 2, PSH | ACK),
            )
        ),
        ethernet(ipv4(craft.GATEWAY, craft.PRODUCT, 1, craft.icmp())),
        craft.vxlan(craft.vxlan(ethernet(connection.sent[3]))),
        bytes(14) + b"\x42\x42\x03" + bytes(30),
    ]
    plain = craft.spaced([*(ethernet(packet) for packet in connection.sent), *others])
    mixed = [
        Frame(data, craft.START_NS + number * 1000, LINKS.index(link))
        for number, (link, data) in enumerate(CARRIED)
    ]
    interfaces = [Interface(f"if{link}", link=link, snap_length=99) for link in LINKS]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        return (
            craft.pcap(path, plain).read_bytes(),
            craft.pcap(path, craft.cut(plain, 60), order=">", ns=True).read_bytes(),
            craft.pcapng(path, plain, [Interface("br-app", resolution=9)]).read_bytes(),
            craft.pcapng(path, mixed, interfaces, order=">").read_bytes(),
            *(
                craft.pcap(path, [Frame(data)] * 3, link=link).read_bytes()
                for link, data in CARRIED
            ),
            craft.section()
            + craft.described(Interface(snap_length=40))
            + craft.simple(plain[3])
            + craft.block("<", 5, struct.pack("<III", 0, 0, 0) + craft.option("<", 5, bytes(8)))
            + craft.section(">")
            + craft.described(Interface(), ">")
            + craft.enhanced(plain[0], order=">"),
        )


def damaged(data: bytes, damages: Sequence[Damage]) -> bytes:
    """Do damage to a file."""
    copy = bytearray(data)
    for kind, where, value in damages:
        at = where * len(copy) >> 16
        edge = _EDGES[value % len(_EDGES)]
        if kind == 0:
            del copy[at:]
        elif kind == 1:
            copy[at : at + 1] = bytes([value & 0xFF])
        elif kind == 2:
            copy[at : at + 4] = struct.pack("<I", edge)
        elif kind == 3:
            copy[at : at + 2] = struct.pack(">H", edge & 0xFFFF)
        elif kind == 4:
            del copy[at : at + 1 + value % 70]
        elif kind == 5:
            copy[at:at] = copy[at : at + 1 + value % 200]
        else:
            copy[at:at] = random.Random(value).randbytes(1 + value % 90)
    return bytes(copy)


def damages(seed: int) -> Iterator[tuple[bytes, ...]]:
    """Give damaged files without end: one, or two to be read together."""
    dice = random.Random(seed)
    while True:
        yield tuple(
            damaged(
                dice.choice(whole_files()),
                [
                    (dice.randrange(KINDS), dice.randrange(1 << 16), dice.randrange(1 << 16))
                    for _ in range(dice.choice([0, 1, 1, 2, 3, 8]))
                ],
            )
            for _ in range(dice.choice([1, 1, 1, 2]))
        )
