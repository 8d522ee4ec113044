"""Of several journeys the median is shown; an edge that does not answer is named."""

from __future__ import annotations

import socket
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.journey_cases import REQUEST_ID, journey
from twinstack.errors import StepFailed
from twinstack.observe.journey import send
from twinstack.world import Endpoint, LocalWorld


def test_several_requests_are_followed_one_by_one_and_the_median_is_given(
    monkeypatch: pytest.MonkeyPatch,
):
    durations = iter([900.0, 100.0, 500.0])
    monkeypatch.setattr(
        send, "follow_request", lambda *_: replace(journey(), total_us=next(durations))
    )
    progress: list[str] = []
    world = cast(LocalWorld, SimpleNamespace(name="net", links=tuple))
    assert send.median_journey(world, "/", 3, progress.append).total_us == 500
    assert progress == [
        "net: asking for /",
        "net: request 1 of 3: 900 µs",
        "net: request 2 of 3: 100 µs",
        "net: request 3 of 3: 500 µs",
    ]


def test_an_edge_that_does_not_answer_is_named_with_a_remedy():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(StepFailed) as caught:
            send.send_request(Endpoint("127.0.0.1", port), "/x", REQUEST_ID)
    assert str(caught.value) == (
        f'http://127.0.0.1:{port}/x: does not answer: Connection refused; run "invoke health"'
    )
