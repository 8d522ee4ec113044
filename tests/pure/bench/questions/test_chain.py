"""The chain is compared with both references, on a world that is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.engine.worlds import POLICY_LIFTED
from bench.questions import chain
from bench.questions.chain import CHAIN, DIRECT, NAIVE, ChainTrial
from tests.support.bench_fakes import NOISE, quiet, sampled
from twinstack.errors import CannotTell, Locked, StepFailed, TwinstackError

Noted = Callable[..., list[tuple[Any, ...]]]


def samples(whole: float, reads: int = 1000) -> list[ChainTrial]:
    rates = {CHAIN: whole, DIRECT: 6_000.0, NAIVE: 300.0}
    by_service = {"nginx-lb": 60_000, "product-service": 250_000, "postgres-db": 3}
    return [
        ChainTrial(
            what=what,
            redis_reads=reads,
            by_service=by_service,
            **sampled(number, rate * (1 + noise), cpu_us=int(1e9 / rate)),
        )
        for number, noise in enumerate(NOISE, start=1)
        for what, rate in rates.items()
    ]


def test_the_chain_is_compared_with_both_references() -> None:
    cost = chain.summarise(samples(4_000), seed=1)
    assert "0.67 times the requests of the product services alone" in cost.sentences[0]
    assert "at least 0.5 times: holds" in cost.sentences[0]
    assert "at least 10 times: holds" in cost.sentences[1]
    assert "CPU µs of a chain request: product-service 250, nginx-lb 60." in chain.table(cost)
    assert max(map(len, chain.table(cost).splitlines())) <= 80


def test_a_chain_that_carries_too_little_fails() -> None:
    cost = chain.summarise(samples(2_000), seed=1)
    assert [sentence.rsplit(" ", 1)[1] for sentence in cost.sentences] == ["fails.", "fails."]


def test_a_chain_that_answers_from_memory_is_refused() -> None:
    with pytest.raises(CannotTell, match="did not read Redis for every request"):
        chain.summarise(samples(4_000, reads=999), seed=1)


@pytest.mark.parametrize(
    ("shape", "limited", "expected"),
    [
        ("tiered", True, ["up net tiered unlimited", "up net tiered limited"]),
        ("flat", False, ["up net flat unlimited", "up net flat unlimited"]),
        (None, True, ["up net flat unlimited", "down net"]),
    ],
)
def test_the_world_is_left_as_it_was(
    stack: Any, noted: Noted, shape: str | None, limited: bool, expected: list[str]
) -> None:
    stack.set("net", shape, limited=limited)
    noted(chain, "measure")
    noted(chain, "table", "the table")
    outcome = chain.ask(stack, rounds=6, progress=quiet)
    assert stack.actions == expected
    assert outcome.text == f"the table\n{POLICY_LIFTED}"


@pytest.mark.parametrize("shape", [None, "tiered"])
def test_a_measurement_that_fails_leaves_the_world_and_its_policy_as_they_were(
    stack: Any, noted: Noted, failure: StepFailed, shape: str | None
) -> None:
    stack.set("net", shape)
    noted(chain, "measure", failure)
    with pytest.raises(StepFailed):
        chain.ask(stack, rounds=6, progress=quiet)
    assert stack.shapes["net"] == shape
    assert stack.limited["net"]
    assert stack.policies == [("net", False, False), ("net", True, True)]


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (StepFailed("veth", "cannot be created"), ["up net flat unlimited", "up net flat limited"]),
        (Locked("instance t", "is being changed"), ["up net flat unlimited"]),
    ],
)
def test_a_world_that_does_not_come_up_is_left_as_it_was_unless_another_command_changes_it(
    stack: Any, refusal: TwinstackError, expected: list[str]
) -> None:
    stack.set("net", "flat")
    stack.refusal = refusal
    with pytest.raises(type(refusal)):
        chain.ask(stack, rounds=6, progress=quiet)
    assert stack.actions == expected


@pytest.mark.parametrize("docker", [None, "flat"])
def test_the_answer_says_whether_docker_disturbed_it(
    stack: Any, noted: Noted, docker: str | None
) -> None:
    stack.set("docker", docker)
    noted(chain, "measure")
    noted(chain, "table", "the table")
    lines: list[str] = []
    outcome = chain.ask(stack, rounds=6, progress=lines.append)
    assert ("The Docker world was up meanwhile" in outcome.text) == bool(docker)
    assert (lines[0] == chain.DOCKER_IS_UP) == bool(docker)
    assert max(map(len, outcome.text.splitlines())) <= 80


def test_too_few_rounds_are_refused_before_a_world_is_touched(stack: Any) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        chain.ask(stack, rounds=5, progress=quiet)
    assert stack.actions == []
