"""How many second tries a service may cost."""

from __future__ import annotations

from services.api_gateway.retry_budget import (
    RETRIES_AT_ONCE,
    RETRIES_PER_ANSWER,
    RETRIES_PER_S,
    RetryBudget,
)


def taken(budget: RetryBudget, answers: int, now: float) -> int:
    count = 0
    while budget.take(answers, now):
        count += 1
    return count


def test_a_burst_is_bounded():
    assert taken(RetryBudget(), 0, 0.0) == RETRIES_AT_ONCE


def test_answers_earn_retries():
    budget = RetryBudget()
    taken(budget, 1000, 0.0)
    assert taken(budget, 1500, 0.0) == 500 * RETRIES_PER_ANSWER


def test_a_quiet_service_has_some_each_second():
    budget = RetryBudget()
    taken(budget, 0, 0.0)
    assert taken(budget, 0, 2.0) == 2 * RETRIES_PER_S


def test_an_instance_that_takes_its_answers_with_it_costs_no_retries():
    budget = RetryBudget()
    taken(budget, 1000, 0.0)
    assert taken(budget, 400, 1.0) == RETRIES_PER_S
