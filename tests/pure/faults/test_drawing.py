from __future__ import annotations

import itertools

import pytest

from tests.support.core_cases import planned
from twinstack.errors import TwinstackError
from twinstack.faults.catalogue import FAULTS
from twinstack.faults.drawing import DrawnFault, choices, strikes

PLAN = planned()
NAMES = {fault.name for fault in FAULTS.values() if not fault.refused}


def first(what: str, count: int, seed: int = 7) -> list[DrawnFault]:
    return list(itertools.islice(strikes(PLAN, what, seed, 4.0), count))


def test_a_seed_replays_its_strikes_and_another_draws_others():
    assert first("", 40) == first("", 40)
    assert first("", 40) != first("", 40, seed=8)


def test_every_fault_has_its_turn_before_any_comes_again():
    drawn = first("", 3 * len(NAMES))
    for turn in range(3):
        part = drawn[turn * len(NAMES) : (turn + 1) * len(NAMES)]
        assert {strike.fault for strike in part} == NAMES
    assert [strike.number for strike in drawn] == list(range(1, len(drawn) + 1))


def test_each_of_a_faults_targets_has_its_turn_before_any_comes_again():
    targets = FAULTS["kill"].targets(PLAN)
    drawn = [strike.target for strike in first("kill", 2 * len(targets))]
    assert set(drawn[: len(targets)]) == set(drawn[len(targets) :]) == set(targets)


def test_a_fault_stays_for_half_of_the_longest_time_to_all_of_it():
    assert all(2.0 <= strike.seconds <= 4.0 for strike in first("", 200))


def test_a_target_is_a_replica_a_service_or_any():
    assert choices(PLAN, "kill:product-service-2") == {"kill": ("product-service-2",)}
    assert choices(PLAN, "kill:redis-cache,stop") == {
        "kill": ("redis-cache",),
        "stop": FAULTS["stop"].targets(PLAN),
    }
    # The first replica has the service's own name: to name a service is to name that replica.
    assert choices(PLAN, "kill:product-service") == {"kill": ("product-service",)}


def test_a_partition_is_between_tiers_or_services():
    assert choices(PLAN, "partition")["partition"] == ("frontend/backend", "backend/database")
    pair = "order-service/redis-cache"
    assert choices(PLAN, f"partition:{pair}") == {"partition": (pair,)}


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("fire", "fault fire: is unknown: there are kill, "),
        ("kill:nobody", "nobody: is no service"),
        ("partition:redis-cache/database", "divides nothing"),
        (",", "names no fault"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(what: str, error: str):
    with pytest.raises(TwinstackError, match=error):
        choices(PLAN, what)
