from __future__ import annotations

import struct

from twinstack.linux.netlink import attribute, pack
from twinstack.linux.nfqueue import NFQA, NFQNL, packet_ids


def queued(number: int) -> bytes:
    header = struct.pack("!IHB", number, 0x0800, 2)
    return pack(NFQNL.PACKET, 0, 0, bytes(4) + attribute(NFQA.PACKET_HDR, header))


def test_every_packet_of_a_datagram_is_read_by_its_id():
    assert list(packet_ids(queued(7) + queued(8))) == [7, 8]


def test_another_message_is_no_packet():
    other = pack(NFQNL.CONFIG, 0, 0, bytes(4) + attribute(NFQA.PACKET_HDR, bytes(8)))
    assert list(packet_ids(other + queued(9))) == [9]
