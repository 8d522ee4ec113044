"""The gateway's own port before clients that send, or read, too slowly, or go."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress

import pytest

from services.api_gateway import intake, server
from tests.support.gateway_parts import (
    HEAD,
    OK,
    PLACE,
    all_of,
    always,
    client_of,
    error_of,
    last_error,
    statuses,
)
from tests.support.sandbox import eventually


def test_a_slow_head_is_given_up(gateway, monkeypatch):
    monkeypatch.setattr(server, "HEAD_S", 0.4)
    with client_of(gateway) as link:
        began = time.monotonic()
        link.settimeout(0.1)
        got = b""
        for byte in b"GET /health HTTP/1.1\r\nHost: slow-and-never-at-its-end":
            try:
                link.sendall(bytes([byte]))
                got += link.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
        assert statuses(got)[:1] == [408]
        assert error_of(got.rpartition(b"\r\n\r\n")[2]) == "head_timeout"
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("sent", [b"", b"\r\n" * 5])
def test_a_client_that_sends_no_request_is_left(gateway, monkeypatch, sent):
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    with client_of(gateway) as link:
        link.sendall(sent)
        began = time.monotonic()
        assert link.recv(1000) == b""
        assert time.monotonic() - began < 2


def test_blank_lines_keep_no_connection_open(gateway, monkeypatch):
    monkeypatch.setattr(gateway.server.config, "timeout_keep_alive", 0.5)
    with client_of(gateway) as link:
        link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert link.recv(10_000)
        link.settimeout(0.2)
        began = time.monotonic()
        while time.monotonic() - began < 4:
            try:
                link.sendall(b"\r\n")
                if not link.recv(1000):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    pytest.fail("it is still open")


@pytest.mark.parametrize("every_s", [None, 0.05])
def test_a_slow_body_is_a_408(gateway, upstream, monkeypatch, every_s):
    up = upstream(always(OK))
    monkeypatch.setattr(intake, "BODY_GRACE_S", 0.3)
    monkeypatch.setattr(intake, "BODY_PATIENCE_S", 0.6)
    with client_of(gateway) as link:
        link.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        began = time.monotonic()
        link.settimeout(every_s or 5)
        got = b""
        while not got and time.monotonic() - began < 4:
            try:
                got = link.recv(10_000)
            except TimeoutError:
                link.sendall(b"x")
        assert (statuses(got), last_error(got)) == ([408], "body_timeout")
        assert time.monotonic() - began < 1.5
    assert not up.requests


def test_a_body_that_comes_at_a_fair_rate_has_longer(gateway, upstream, monkeypatch):
    upstream(always(OK))
    monkeypatch.setattr(intake, "BODY_GRACE_S", 0.3)
    with client_of(gateway) as link:
        link.sendall(HEAD + b"Content-Length: 2000\r\nConnection: close\r\n\r\n")
        for _ in range(10):
            link.sendall(b"x" * 200)
            time.sleep(0.08)
        assert statuses(all_of(link)) == [200]


@pytest.mark.parametrize(
    ("bound", "clients"),
    [("BODIES_OF_ONE_CLIENT_MAX", [b"10.0.0.9"] * 4), ("BODIES_MAX", [b"1", b"2", b"3", b"4"])],
    ids=["of one client", "of all"],
)
def test_where_bodies_take_all_the_room_the_longest_awaited_goes(
    gateway, upstream, monkeypatch, bound, clients
):
    upstream(always(OK))
    monkeypatch.setattr(intake, bound, 3)
    waiting = HEAD + b"X-Forwarded-For: %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    links = []
    for client in clients[:3]:
        links.append(socket.create_connection(("127.0.0.1", gateway.port), timeout=3))
        links[-1].sendall(waiting % client)
        time.sleep(0.05)
    assert statuses(gateway.raw(waiting % clients[3] + b"{}")) == [200]
    oldest, *others = links
    got = all_of(oldest)
    assert (statuses(got), last_error(got)) == ([408], "body_timeout")
    for link in others:
        link.sendall(b"{}")
        assert statuses(all_of(link)) == [200]
    for link in links:
        link.close()
    eventually(lambda: gateway.gateway._intake._of_client == {}, within_s=1)
    assert gateway.gateway._intake._all == {}


def test_a_client_that_does_not_read_is_left(gateway, upstream, monkeypatch):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
    upstream(always(answer))
    monkeypatch.setattr(server, "STALL_S", 0.5)
    with client_of(gateway) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.sendall(b"GET /api/products HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        eventually(lambda: not gateway.server.server_state.connections, within_s=4)


def test_a_refused_body_is_not_read_for_ever(gateway, monkeypatch):
    monkeypatch.setattr(server, "LINGER_S", 0.3)
    with client_of(gateway) as link:
        link.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < 4:
                link.sendall(b"x" * 1000)
                time.sleep(0.02)
        assert time.monotonic() - began < 3


def test_a_client_that_resets_leaves_nothing_behind(gateway, slow):
    for sent in (PLACE, HEAD + b"Content-Length: 9\r\n\r\n{", HEAD):
        with client_of(gateway) as link:
            link.sendall(sent)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: not gateway.server.server_state.connections, within_s=3)
    eventually(lambda: gateway.gateway._in_flight == 0, within_s=3)
    assert gateway.gateway._intake._all == {}
