"""One request shows what an entry point answers."""

from __future__ import annotations

import pytest

from bench.engine import probe
from tests.support.bench_fakes import BODY, served
from twinstack.errors import CannotTell
from twinstack.world import Endpoint


def test_an_answer_is_given_whole() -> None:
    with served() as port:
        assert probe.get_ok(Endpoint("127.0.0.1", port), "/") == BODY


def test_an_answer_outside_2xx_is_refused() -> None:
    with served(lambda number: 500) as port, pytest.raises(CannotTell, match="answers 500"):
        probe.get_ok(Endpoint("127.0.0.1", port), "/")


def test_no_answer_is_refused_with_its_remedy() -> None:
    with pytest.raises(CannotTell, match="bring the world up"):
        probe.get_ok(Endpoint("127.0.0.1", 1), "/")


def test_an_answer_that_comes_late_is_waited_for() -> None:
    with served(lambda number: 200 if number > 2 else 503) as port:
        assert probe.wait_ok(Endpoint("127.0.0.1", port), "/", timeout_s=5) == BODY
