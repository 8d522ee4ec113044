"""Responses are matched with requests in each connection's order; names are bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import ACK, PSH, RST, SYN, Connection, Frame, ethernet
from twinstack.observe.traffic import http, pcap


def test_responses_are_matched_in_their_order_and_the_rest_is_reported(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    connection.send(1, PSH | ACK, b"HTTP/1.1 200 OK\r\n\r\n")  # its request is older
    for path in ("/api/products/1?x=1", "/api/products/22", "/api/orders"):
        connection.send(0, PSH | ACK, f"GET {path} HTTP/1.1\r\n\r\n".encode())
    connection.send(1, PSH | ACK, b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.send(1, PSH | ACK, b"HTTP/1.1 200 OK\r\n\r\n")
    connection.send(1, PSH | ACK, b"HTTP/1.1 404 Not Found\r\n\r\n")
    report = craft.report(craft.connections(tmp_path, connection))
    assert {(http.request, http.status): http.count for http in report.http} == {
        ("GET /api/products/{n}", 200): 1,
        ("GET /api/products/{n}", 404): 1,
        ("GET /api/orders", None): 1,
    }


@pytest.mark.parametrize("ends", [(craft.NGINX, craft.GATEWAY), (craft.GATEWAY, craft.NGINX)])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("batch", [1, 1000])
def test_a_response_is_never_matched_with_a_request_of_an_earlier_connection(
    ends: tuple[str, str], reset: bool, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One request stays unanswered; then its port is used again, 10 s apart."""

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
    report = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert [(http.status, http.count) for http in report.http] == [(200, 3), (None, 1)]
    answered = report.http[0].latency
    assert answered is not None
    assert answered.p99_us == pytest.approx(1000, rel=0.023)


def test_a_request_within_the_syn_that_opens_its_connection_is_matched(tmp_path: Path):
    """TCP fast open (RFC 7413)."""
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000)
    connection.send(0, SYN, b"GET / HTTP/1.1\r\n\r\n")
    connection.send(1, SYN | ACK)
    connection.send(1, PSH | ACK, b"HTTP/1.1 200 OK\r\n\r\n")
    report = craft.report(craft.connections(tmp_path, connection))
    assert [(http.status, http.count) for http in report.http] == [(200, 1)]


def test_a_request_sent_again_is_one_request(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    request = b"GET / HTTP/1.1\r\n\r\n"
    connection.send(0, PSH | ACK, request)
    connection.send(0, PSH | ACK, request, again=len(request))
    connection.send(1, PSH | ACK, b"HTTP/1.1 200 OK\r\n\r\n")
    report = craft.report(craft.connections(tmp_path, connection))
    assert [(http.status, http.count) for http in report.http] == [(200, 1)]


def test_a_snap_length_that_hides_http_is_noted(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask()
    frames = craft.cut(connection.frames(), 60)
    report = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert report.http == ()
    assert any("cut off the first bytes of 2 of 2 segments" in note for note in report.notes)
    whole = craft.cut(connection.frames(), 128)
    assert craft.report(craft.pcap(tmp_path / "b.pcap", whole)).notes == ()


def test_paths_past_a_number_are_named_together(tmp_path: Path):

    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    for number in range(http._MAX_NAMES + 30):
        connection.ask(f"/x{number}x")
    report = craft.report(craft.connections(tmp_path, connection))
    assert len(report.http) == http._MAX_NAMES + 1
    assert max(report.http, key=lambda each: each.count).request == "GET (other paths)"
    assert sum(each.count for each in report.http) == http._MAX_NAMES + 30
