from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_cases import planned
from twinstack.errors import TwinstackError
from twinstack.faults.catalogue import FAULTS, by_place, find

PLAN = planned()


def test_a_spared_service_is_promised_that_every_read_is_answered():
    assert by_place(PLAN, "product-service-3").reads_failing == 0
    alone = replace(PLAN, replicas=tuple(r for r in PLAN.replicas if r.number == 1))
    assert by_place(alone, "product-service").reads_failing is None


def test_what_a_read_does_not_need_costs_no_read():
    for name in ("order-service", "service-registry", "redis-cache"):
        assert by_place(PLAN, name).reads_failing == 0
    for name in ("nginx-lb", "api-gateway", "postgres-db"):
        assert by_place(PLAN, name).reads_failing is None


def test_every_fault_has_targets_and_a_promise_for_each():
    for fault in FAULTS.values():
        targets = fault.targets(PLAN)
        assert bool(targets) != bool(fault.refused), fault.name
        assert all(fault.promise(PLAN, target).full_within_s > 0 for target in targets)


def test_an_unknown_fault_is_refused_with_a_list():
    with pytest.raises(TwinstackError, match="is unknown: there are kill, sigstop"):
        find("fire")


def test_what_cannot_be_put_is_refused_with_its_reason():
    with pytest.raises(TwinstackError, match="no namespace has a wall clock of its own"):
        find("clock-jump")


def test_a_cut_beside_their_way_costs_no_read():
    promise = FAULTS["partition"].promise
    assert promise(PLAN, "order-service/redis-cache").reads_failing == 0
    assert promise(PLAN, "product-service/redis-cache").reads_failing == 0
    assert promise(PLAN, "product-service/postgres-db").reads_failing is None
    assert promise(PLAN, "frontend/backend").reads_failing is None
