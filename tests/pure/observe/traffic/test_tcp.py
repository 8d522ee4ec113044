"""TCP's health agrees with tshark; times are those of the packets; HTTP finds its answers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import ACK, FIN, PSH, RST, SYN, Connection, Frame, ethernet

ALL_AGAIN = (
    "tcp.analysis.retransmission || tcp.analysis.fast_retransmission || "
    "tcp.analysis.spurious_retransmission || tcp.analysis.out_of_order"
)


def write(tmp_path: Path, *connections: Connection) -> Path:
    packets = [ethernet(packet) for one in connections for packet in one.sent]
    return craft.pcap(tmp_path / "a.pcap", craft.spaced(packets))


@pytest.mark.parametrize("first", [1000, 2**32 - 150, 2**31 - 100])
def test_resent_is_what_tshark_calls_so_across_the_wrap_too(first: int, tmp_path: Path):
    one = Connection(craft.GATEWAY, craft.PRODUCT, 5000, seq=[first, first + 7])
    one.open()
    for _ in range(4):
        one.send(0, ACK, b"x" * 100)
    one.send(0, ACK, b"x" * 100, again=200)
    one.send(1, ACK, b"y" * 50)
    one.send(1, ACK, b"y" * 50, again=50)
    one.send(0, ACK)
    one.close()
    file = write(tmp_path, one)
    found = craft.report(file).pairs[0]
    assert found.resent == craft.tshark_matching(file, ALL_AGAIN) == 2


def test_many_random_connections_agree_with_tshark(tmp_path: Path):
    dice = random.Random(7)
    connections = []
    for number in range(60):
        one = Connection(
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
                one.send(side, ACK, b"z" * size, again=size)
            else:
                one.send(side, ACK, b"z" * size, window=dice.choice([0, 1, 64000]))
                sent[side] += size
        one.close() if dice.random() < 0.7 else one.send(1, RST)
        connections.append(one)
    file = write(tmp_path, *connections)
    found = craft.report(file).pairs[0]
    assert found.resent == craft.tshark_matching(file, ALL_AGAIN)
    assert found.zero_windows == craft.tshark_matching(file, "tcp.analysis.zero_window")
    assert found.resets == craft.tshark_matching(file, "tcp.flags.reset == 1")
    assert found.connections == 60


def test_a_port_used_again_is_another_connection_and_nothing_resent(tmp_path: Path):
    first = Connection(craft.GATEWAY, craft.PRODUCT, 5000, seq=[3_000_000_000, 5]).open().close()
    second = Connection(craft.GATEWAY, craft.PRODUCT, 5000, seq=[10, 4_000_000_000], ident=900)
    second.open().ask().close()
    file = write(tmp_path, first, second)
    found = craft.report(file).pairs[0]
    assert (found.connections, found.resent) == (2, 0)
    assert found.handshake is not None
    assert found.handshake.count == 2


def test_a_syn_sent_again_opens_nothing_new(tmp_path: Path):
    one = Connection(craft.GATEWAY, craft.PRODUCT, 5000)
    one.send(0, SYN)
    one.seq[0] -= 1
    one.send(0, SYN)
    one.send(1, SYN | ACK)
    one.send(0, ACK)
    found = craft.report(write(tmp_path, one)).pairs[0]
    assert (found.connections, found.resent) == (1, 1)


def test_keep_alives_are_not_resent(tmp_path: Path):
    one = Connection(craft.GATEWAY, craft.PRODUCT, 5000).open()
    one.send(0, ACK, b"x" * 10)
    one.send(1, ACK)
    one.send(0, ACK, b"x", again=1)
    one.send(1, ACK)
    file = write(tmp_path, one)
    assert craft.tshark_matching(file, "tcp.analysis.keep_alive") == 1
    assert craft.report(file).pairs[0].resent == 0


def test_handshake_and_acknowledgement_take_what_they_took(tmp_path: Path):
    one = Connection(craft.GATEWAY, craft.PRODUCT, 5000).open().ask()
    times = [0, 200_000, 300_000, 1_000_000, 1_050_000, 9_000_000, 9_400_000]
    frames = [
        Frame(ethernet(packet), craft.START_NS + time)
        for packet, time in zip(one.sent, times, strict=True)
    ]
    found = craft.report(craft.pcap(tmp_path / "a.pcap", frames, ns=True))
    (pair,) = found.pairs
    assert pair.handshake is not None
    assert pair.handshake.median_us == pytest.approx(300, rel=0.023)
    assert pair.acknowledged is not None
    assert pair.acknowledged.count == 2
    assert pair.acknowledged.least_us == pytest.approx(50, rel=0.023)
    assert pair.acknowledged.p99_us == pytest.approx(400, rel=0.023)
    (http,) = found.http
    assert http.latency is not None
    assert http.latency.median_us == pytest.approx(8000, rel=0.023)


def test_who_serves_is_told_without_a_handshake(tmp_path: Path):
    one = Connection(craft.PRODUCT, craft.REDIS, 6379, 3000)  # a client's port that others serve
    one.send(1, PSH | ACK, b"+OK\r\n")
    one.send(0, ACK)
    two = Connection(craft.ORDER, craft.REDIS, 6379, 50000)
    two.send(1, PSH | ACK, b"+OK\r\n")
    found = craft.told(craft.report(write(tmp_path, one, two)))
    assert found[("order-service", "redis-cache", "TCP", 6379)] == 1


def test_who_serves_is_told_by_the_answer_to_a_syn(tmp_path: Path):
    one = Connection(craft.CLIENT, "198.51.100.7", 50000, 40000)
    one.send(1, SYN | ACK)
    other = Connection(craft.CLIENT, "198.51.100.7", 40001, 50001)
    other.send(1, SYN | ACK)
    found = craft.report(write(tmp_path, one, other))
    assert {pair.server_port for pair in found.pairs} == {50000, 40001}


def test_answers_are_paired_in_their_order_and_the_rest_is_said(tmp_path: Path):
    one = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    one.send(1, PSH | ACK, b"HTTP/1.1 200 OK\r\n\r\n")  # to a request from before the capture
    for path in ("/api/products/1?x=1", "/api/products/22", "/api/orders"):
        one.send(0, PSH | ACK, f"GET {path} HTTP/1.1\r\n\r\n".encode())
    one.send(1, PSH | ACK, b"HTTP/1.1 100 Continue\r\n\r\n")
    one.send(1, PSH | ACK, b"HTTP/1.1 200 OK\r\n\r\n")
    one.send(1, PSH | ACK, b"HTTP/1.1 404 Not Found\r\n\r\n")
    found = craft.report(write(tmp_path, one))
    assert {(http.request, http.status): http.count for http in found.http} == {
        ("GET /api/products/{n}", 200): 1,
        ("GET /api/products/{n}", 404): 1,
        ("GET /api/orders", None): 1,
    }


@pytest.mark.parametrize("ends", [(craft.NGINX, craft.GATEWAY), (craft.GATEWAY, craft.NGINX)])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("batch", [1, 1000])
def test_an_answer_is_never_paired_with_a_request_of_an_earlier_connection(
    ends: tuple[str, str], reset: bool, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One request stays unanswered; then its port is used again, 10 s apart."""
    from twinstack.observe.traffic import pcap

    monkeypatch.setattr(pcap, "BATCH_PACKETS", batch)
    first = Connection(*ends, 3000, seq=[100, 200]).open()
    first.send(0, PSH | ACK, b"GET / HTTP/1.1\r\n\r\n")
    if reset:
        first.send(0, RST)
    frames = first.frames()
    for number in (1, 2, 3):
        later = Connection(*ends, 3000, seq=[number << 20, number << 24], ident=number * 100)
        later.open().ask("/").close()
        began = craft.START_NS + number * 10_000_000_000
        frames += [
            Frame(ethernet(packet), began + at * 500_000) for at, packet in enumerate(later.sent)
        ]
    found = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert [(http.status, http.count) for http in found.http] == [(200, 3), (None, 1)]
    answered = found.http[0].latency
    assert answered is not None
    assert answered.p99_us == pytest.approx(1000, rel=0.023)


def test_a_request_within_the_syn_that_opens_its_connection_is_paired(tmp_path: Path):
    """TCP fast open (RFC 7413)."""
    one = Connection(craft.NGINX, craft.GATEWAY, 3000)
    one.send(0, SYN, b"GET / HTTP/1.1\r\n\r\n")
    one.send(1, SYN | ACK)
    one.send(1, PSH | ACK, b"HTTP/1.1 200 OK\r\n\r\n")
    found = craft.report(write(tmp_path, one))
    assert [(http.status, http.count) for http in found.http] == [(200, 1)]


def test_a_request_sent_again_is_one_request(tmp_path: Path):
    one = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    request = b"GET / HTTP/1.1\r\n\r\n"
    one.send(0, PSH | ACK, request)
    one.send(0, PSH | ACK, request, again=len(request))
    one.send(1, PSH | ACK, b"HTTP/1.1 200 OK\r\n\r\n")
    found = craft.report(write(tmp_path, one))
    assert [(http.status, http.count) for http in found.http] == [(200, 1)]


def test_a_snap_length_that_hides_http_is_said(tmp_path: Path):
    one = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask()
    frames = craft.cut(one.frames(), 60)
    found = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert found.http == ()
    assert any("cut off the first bytes of 2 of 2 segments" in note for note in found.notes)
    whole = craft.cut(one.frames(), 128)
    assert craft.report(craft.pcap(tmp_path / "b.pcap", whole)).notes == ()


def test_paths_without_end_are_named_together(tmp_path: Path):
    from twinstack.observe.traffic import http

    one = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    for number in range(http._MAX_NAMES + 30):
        one.ask(f"/x{number}x")
    found = craft.report(write(tmp_path, one))
    assert len(found.http) == http._MAX_NAMES + 1
    assert max(found.http, key=lambda each: each.count).request == "GET (other paths)"
    assert sum(each.count for each in found.http) == http._MAX_NAMES + 30


def test_a_fin_and_its_answer_end_nothing_early(tmp_path: Path):
    one = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    one.send(0, FIN | ACK)
    one.send(1, ACK, b"x" * 10)
    one.send(1, FIN | ACK)
    assert craft.report(write(tmp_path, one)).pairs[0].resent == 0
