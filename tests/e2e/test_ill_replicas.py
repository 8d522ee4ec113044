"""An ill, a stopped and killed replicas cost no GET in a running world, and hold none for long.

`--full`: each for longer, and more rounds.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.core_cases import planned
from tests.support.ill_replicas import (
    Shop,
    check_killed_in_turn,
    check_passed_over,
    cut_from_database,
    stopped,
)
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]
Tell = Callable[[str], None]


@pytest.fixture(scope="module")
def shop(flat: Sandbox) -> Shop:
    def pid(name: str) -> int:
        state = flat.status()[name]
        return int(state["pid"]) if state["state"] == "healthy" else 0

    database = planned().replica("postgres-db").address
    return Shop(flat, "net", ("10.0.0.10", 80), pid, str(database))


def test_a_replica_that_says_503_takes_no_get(shop: Shop, full: bool, tell: Tell) -> None:
    tell(check_passed_over(shop, cut_from_database, 20 if full else 5))


def test_a_stopped_replica_fails_no_get_and_holds_few(shop: Shop, full: bool, tell: Tell) -> None:
    tell(check_passed_over(shop, stopped, 20 if full else 3))


def test_replicas_killed_one_after_another_fail_no_get(shop: Shop, full: bool, tell: Tell) -> None:
    tell(check_killed_in_turn(shop, 5 if full else 1))
