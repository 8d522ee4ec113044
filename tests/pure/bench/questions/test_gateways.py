"""Our gateway is compared with Node's http and with nginx."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bench.load.wrk import WrkReport
from bench.questions import gateways
from bench.questions.gateways import GatewayTrial
from tests.support.bench_fakes import NOISE, quiet
from twinstack.errors import TwinstackError


def samples(ours: float) -> list[GatewayTrial]:
    rates = {gateways.OURS: ours, gateways.NGINX: 50_000.0, gateways.NODE: 10_000.0}
    return [
        GatewayTrial(
            number, what, WrkReport(int(rate * (1 + noise)), 0, 0, 1.0, 3_000_000, 1.0, 4.0), 10**6
        )
        for what, rate in rates.items()
        for number, noise in enumerate(NOISE)
    ]


@pytest.mark.parametrize(
    ("ours", "expected"),
    [(20_000, "at least 1.5 times: holds"), (12_000, "at least 1.5 times: fails")],
)
def test_the_gateway_is_judged_against_node(ours: float, expected: str) -> None:
    result = gateways.summarise(samples(ours), seed=1)
    assert expected in result.sentence
    assert expected in gateways.table(result).replace("\n", " ")
    assert max(map(len, gateways.table(result).splitlines())) <= 80


def test_without_node_the_result_says_so() -> None:
    without = [trial for trial in samples(20_000) if trial.what != gateways.NODE]
    result = gateways.summarise(without, seed=1)
    assert result.against_node is None
    assert "not compared" in result.sentence


def test_the_upstream_answers_three_kilobytes() -> None:
    text = gateways.nginx_upstream(1234)
    body = re.search(r"location / { return 200 '([^']*)'", text)
    assert body
    assert len(body[1]) == gateways.ANSWER_BYTES


def test_too_few_rounds_are_refused_before_anything_is_built(stack: Any) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        gateways.ask(stack, rounds=5, progress=quiet)
