"""A journey's time is divided without a gap, into steps in their order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import craft
from tests.support.journey_cases import GATEWAY, SENT, T0, back, steps_of, whole
from twinstack.errors import CannotTell
from twinstack.observe.journey.steps import steps


def test_every_moment_belongs_to_one_step():
    at = 0.0
    for step in steps_of(whole()):
        assert step.at_us == pytest.approx(at)
        at += step.took_us
    assert at == pytest.approx(120)


def test_work_and_hops_follow_each_other():
    assert [(step.what, step.took_us) for step in steps_of(whole())] == [
        ("client connects: SYN, SYN+ACK", 20),
        ("client sends", 10),
        ("br → eth-n", 1),
        ("nginx-lb works", 19),
        ("eth-n → eth-g", 1),
        ("api-gateway works", 4),
        ("eth-g → eth-r", 1),
        ("redis-cache works", 2),
        ("eth-r → eth-g", 1),
        ("api-gateway works", 11),
        ("eth-g → eth-r", 1),
        ("redis-cache works", 9),
        ("eth-r → eth-g", 1),
        ("api-gateway works", 9),
        ("api-gateway sends 1 more packets", 2),
        ("eth-g → eth-n", 1),
        ("nginx-lb works", 7),
        ("eth-n → br", 1),
        ("client wakes and reads", 19),
    ]


def test_a_connection_opened_on_the_way_is_a_step_of_its_own():
    wire = whole()
    wire.send(35, GATEWAY, b"", "eth-n", "eth-g", flags=craft.SYN)
    wire.send(40, back(GATEWAY), b"", "eth-g", "eth-n", flags=craft.SYN | craft.ACK)
    kinds = [(step.kind, step.what) for step in steps_of(wire)]
    position = kinds.index(("connect", "connect to api-gateway"))
    assert kinds[position - 1 : position + 2] == [
        ("work", "nginx-lb works"),
        ("connect", "connect to api-gateway"),
        ("work", "nginx-lb works"),
    ]


def test_a_step_that_was_overtaken_takes_no_time():
    late = replace(SENT, connected_ns=T0 + 33_000)  # the client noticed after it had sent
    durations = [step.took_us for step in steps_of(whole(), late)]
    assert min(durations) > 0
    assert sum(durations) == pytest.approx(120)


def test_a_request_that_no_link_saw_has_no_steps():
    with pytest.raises(CannotTell, match="the request: was seen on no link"):
        steps([], SENT, str)
