"""Connections leave the machine its tables, and a load counts what came back."""

from __future__ import annotations

import socket
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bench.engine import loads
from bench.engine.loads import Room
from bench.load.ab import AbLoad
from tests.support.bench_fakes import BODY, served
from twinstack.errors import CannotTell, StepFailed
from twinstack.linux.sock_diag import peers
from twinstack.world import Endpoint


def test_connections_are_counted_by_state_and_destination() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        end = (IPv4Address("127.0.0.1"), port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            assert (peers("ESTABLISHED")[end], peers("TIME_WAIT")[end]) == (
                1,
                0,
            )
            client.shutdown(socket.SHUT_WR)  # who closes first waits
            assert accepted.recv(1) == b""
            accepted.close()
            assert client.recv(1) == b""
        assert (peers("ESTABLISHED")[end], peers("TIME_WAIT")[end]) == (0, 1)
        assert loads.room("127.0.0.1", port).waiting == 1
    free = loads.room("127.0.0.1", 9)
    assert free.ports > 1_000
    assert free.waiting == 0


def test_an_entry_point_with_a_client_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "_QUIET_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint("127.0.0.1", server.getsockname()[1])
        loads.require_quiet([endpoint])
        with (
            socket.create_connection((endpoint.address, endpoint.port)),
            pytest.raises(CannotTell, match="is not idle: a client is connected"),
        ):
            loads.require_quiet([endpoint])


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (Room(28_000, 0), ""),
        (Room(28_000, 20_000), ""),
        (Room(28_000, 22_000), "local ports"),
        (Room(28_000, 0, 10_000, 65_536), ""),
        (Room(28_000, 0, 60_000, 65_536), "conntrack entries"),
        (Room(28_000, 0, None, None), ""),
    ],
)
def test_connections_wait_for_room_in_the_kernels_tables(room: Room, expected: str) -> None:
    assert room.lacks(1_000) == expected


def test_a_lone_run_never_waits() -> None:
    assert Room(28_000, 0, 10, 65_536).lacks(1_000_000) == ""


def test_ab_counts_whole_answers_and_failures_apart() -> None:
    with served(lambda number: 500 if number % 2 else 200) as port:
        tally = loads.by_ab(Endpoint("127.0.0.1", port), AbLoad("/", 20, 2))()
    assert (tally.done, tally.failed) == (10, 10)
    assert tally.figures["seconds"] > 0


def test_wrk_runs_for_its_time() -> None:
    with served() as port:
        tally = loads.by_wrk(f"http://127.0.0.1:{port}/", 2, 1)()
    assert tally.done > 0
    assert tally.failed == 0
    assert tally.figures["seconds"] == pytest.approx(1, abs=0.3)


def test_a_program_is_one_request_and_its_failure_an_error(tmp_path: Path) -> None:
    tally = loads.by_program([sys.executable, "-c", "pass"], tmp_path)()
    assert tally.done == 1
    assert tally.figures["peak_bytes"] > 1_000_000
    assert 0 < tally.figures["cpu_s"] <= tally.figures["seconds"]
    with pytest.raises(StepFailed, match="exit code 3"):
        loads.by_program([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)()


def test_an_answer_is_given_whole() -> None:
    with served() as port:
        assert loads.get_ok(Endpoint("127.0.0.1", port), "/") == BODY


def test_an_answer_outside_2xx_is_refused() -> None:
    with served(lambda number: 500) as port, pytest.raises(CannotTell, match="answers 500"):
        loads.get_ok(Endpoint("127.0.0.1", port), "/")


def test_no_answer_is_refused_with_its_remedy() -> None:
    with pytest.raises(CannotTell, match="bring the world up"):
        loads.get_ok(Endpoint("127.0.0.1", 1), "/")


def test_an_answer_that_comes_late_is_waited_for() -> None:
    with served(lambda number: 200 if number > 2 else 503) as port:
        assert loads.wait_ok(Endpoint("127.0.0.1", port), "/", timeout_s=5) == BODY
