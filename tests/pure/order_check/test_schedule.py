"""A schedule is its seed's, in rounds of one fault or of two replicas."""

from __future__ import annotations

from collections import Counter

from tests.support.core_cases import planned
from twinstack.faults import drawing
from twinstack.faults.catalogue import FAULTS
from twinstack.faults.drawing import DrawnFault
from twinstack.order_check.schedule import LONGEST_S, draw, rounds, seconds

PLAN = planned()
REPLICAS = {replica.name for replica in PLAN.here}
EVERYTHING = drawing.everything()


def test_the_same_seed_gives_the_same_schedule_and_another_another() -> None:
    assert draw(PLAN, EVERYTHING, 7, 20) == draw(PLAN, EVERYTHING, 7, 20)
    assert draw(PLAN, EVERYTHING, 7, 20) != draw(PLAN, EVERYTHING, 8, 20)


def test_every_fault_strikes_about_equally_often_short_and_long() -> None:
    drawn = draw(PLAN, EVERYTHING, 3, 100)
    times = Counter(fault.fault for fault in drawn)
    assert len(drawn) == 100
    assert set(times) == set(EVERYTHING.split(","))
    assert max(times.values()) - min(times.values()) <= 1
    assert all(bool(fault.seconds) == FAULTS[fault.fault].lasts for fault in drawn)
    lasting = [fault.seconds for fault in drawn if fault.seconds]
    assert min(lasting) < 1 < LONGEST_S / 2 < max(lasting) <= LONGEST_S


def test_a_round_is_one_fault_or_two_replicas() -> None:
    sizes: Counter[int] = Counter()
    for some in rounds(draw(PLAN, EVERYTHING, 5, 200)):
        targets = {fault.target for fault in some}
        assert len(targets) == len(some)
        assert len(some) == 1 or targets <= REPLICAS
        sizes[len(some)] += 1
    assert set(sizes) == {1, 2}
    assert sizes[2] > 20


def test_a_part_of_a_schedule_keeps_its_rounds() -> None:
    first, late, beside = (
        DrawnFault(1, "kill", "a"),
        DrawnFault(5, "sigstop", "b", 2.0),
        DrawnFault(5, "kill", "c", 0.0, 0.3),
    )
    assert rounds((first, late, beside)) == [[first], [late, beside]]
    assert rounds((beside,)) == [[beside]]
    assert seconds((first, late, beside)) == seconds((first,)) + seconds((late,))
    assert seconds(()) == 0
