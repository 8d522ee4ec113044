"""Following goes on, however much comes."""

from __future__ import annotations

import socket
import time

import pytest

from twinstack.observe.flows import listen
from twinstack.observe.flows.flow import ALLOWED


class Flooded(socket.socket):
    """Always has another datagram, for some seconds."""

    until_s = 0.0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Leave in the kernel what is there; then it can be received again."""
        return super().recv(size) if time.monotonic() > self.until_s else b"no message"


def test_a_flood_from_the_first_moment_on_is_given_as_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    flooded = Flooded(fileno=receiving.detach())
    nothing = listen.PresentFlows((), frozenset(), ())
    monkeypatch.setattr(listen, "present", lambda plans, host: nothing)
    monkeypatch.setattr(listen, "_SOURCES", {ALLOWED: lambda: flooded})
    with sending:
        sending.send(b"one")
        began_s = time.monotonic()
        flooded.until_s = began_s + 2
        batches = listen.follow({}, None, [ALLOWED], lambda line: None)
        for _ in range(2):  # the table, and then what comes
            assert next(batches) == []
        assert time.monotonic() - began_s < 1
        del batches
