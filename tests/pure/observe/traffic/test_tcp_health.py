"""TCP's health agrees with tshark; durations are those of the packets."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import ACK, FIN, RST, SYN, Connection, Frame, ethernet

ALL_AGAIN = (
    "tcp.analysis.retransmission || tcp.analysis.fast_retransmission || "
    "tcp.analysis.spurious_retransmission || tcp.analysis.out_of_order"
)


@pytest.mark.parametrize("first", [1000, 2**32 - 150, 2**31 - 100])
def test_resent_segments_are_those_of_tshark_across_the_wrap_too(first: int, tmp_path: Path):
    connection = Connection(craft.GATEWAY, craft.PRODUCT, 5000, seq=[first, first + 7])
    connection.open()
    for _ in range(4):
        connection.send(0, ACK, b"x" * 100)
    connection.send(0, ACK, b"x" * 100, again=200)
    connection.send(1, ACK, b"y" * 50)
    connection.send(1, ACK, b"y" * 50, again=50)
    connection.send(0, ACK)
    connection.close()
    file = craft.connections(tmp_path, connection)
    pair = craft.report(file).pairs[0]
    assert pair.resent == craft.tshark_matching(file, ALL_AGAIN) == 2


def test_many_random_connections_agree_with_tshark(tmp_path: Path):
    dice = random.Random(7)
    connections = []
    for number in range(60):
        connection = Connection(
            craft.GATEWAY,
            craft.PRODUCT,
            5000,
            40000 + number,
            seq=[dice.randrange(2**32), dice.randrange(2**32)],
        ).open()
        sent = [0, 0]
        for _ in range(dice.randrange(30)):
            side, size = dice.randrange(2), dice.randrange(2, 400)
            if sent[side] >= size and dice.random() < 0.2:
                connection.send(side, ACK, b"z" * size, again=size)
            else:
                connection.send(side, ACK, b"z" * size, window=dice.choice([0, 1, 64000]))
                sent[side] += size
        connection.close() if dice.random() < 0.7 else connection.send(1, RST)
        connections.append(connection)
    file = craft.connections(tmp_path, *connections)
    pair = craft.report(file).pairs[0]
    assert pair.resent == craft.tshark_matching(file, ALL_AGAIN)
    assert pair.zero_windows == craft.tshark_matching(file, "tcp.analysis.zero_window")
    assert pair.resets == craft.tshark_matching(file, "tcp.flags.reset == 1")
    assert pair.connections == 60


def test_a_port_used_again_is_another_connection_and_nothing_resent(tmp_path: Path):
    first = Connection(craft.GATEWAY, craft.PRODUCT, 5000, seq=[3_000_000_000, 5]).open().close()
    second = Connection(craft.GATEWAY, craft.PRODUCT, 5000, seq=[10, 4_000_000_000], ident=900)
    second.open().ask().close()
    file = craft.connections(tmp_path, first, second)
    pair = craft.report(file).pairs[0]
    assert (pair.connections, pair.resent) == (2, 0)
    assert pair.handshake is not None
    assert pair.handshake.count == 2


def test_a_syn_sent_again_opens_nothing_new(tmp_path: Path):
    connection = Connection(craft.GATEWAY, craft.PRODUCT, 5000)
    connection.send(0, SYN)
    connection.seq[0] -= 1
    connection.send(0, SYN)
    connection.send(1, SYN | ACK)
    connection.send(0, ACK)
    pair = craft.report(craft.connections(tmp_path, connection)).pairs[0]
    assert (pair.connections, pair.resent) == (1, 1)


def test_keep_alives_are_not_resent(tmp_path: Path):
    connection = Connection(craft.GATEWAY, craft.PRODUCT, 5000).open()
    connection.send(0, ACK, b"x" * 10)
    connection.send(1, ACK)
    connection.send(0, ACK, b"x", again=1)
    connection.send(1, ACK)
    file = craft.connections(tmp_path, connection)
    assert craft.tshark_matching(file, "tcp.analysis.keep_alive") == 1
    assert craft.report(file).pairs[0].resent == 0


def test_handshake_and_acknowledgement_take_what_they_took(tmp_path: Path):
    connection = Connection(craft.GATEWAY, craft.PRODUCT, 5000).open().ask()
    times = [0, 200_000, 300_000, 1_000_000, 1_050_000, 9_000_000, 9_400_000]
    frames = [
        Frame(ethernet(packet), craft.START_NS + time)
        for packet, time in zip(connection.sent, times, strict=True)
    ]
    report = craft.report(craft.pcap(tmp_path / "a.pcap", frames, ns=True))
    (pair,) = report.pairs
    assert pair.handshake is not None
    assert pair.handshake.median_us == pytest.approx(300, rel=0.023)
    assert pair.acknowledged is not None
    assert pair.acknowledged.count == 2
    assert pair.acknowledged.least_us == pytest.approx(50, rel=0.023)
    assert pair.acknowledged.p99_us == pytest.approx(400, rel=0.023)
    (http,) = report.http
    assert http.latency is not None
    assert http.latency.median_us == pytest.approx(8000, rel=0.023)


def test_a_fin_and_its_answer_end_nothing_early(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    connection.send(0, FIN | ACK)
    connection.send(1, ACK, b"x" * 10)
    connection.send(1, FIN | ACK)
    assert craft.report(craft.connections(tmp_path, connection)).pairs[0].resent == 0
