"""A recovery lasts from a fault's end to the last failure of a request sent after it."""

from __future__ import annotations

from tests.support.order_cases import Story
from twinstack.order_check.history import BUSY, CausedFault
from twinstack.order_check.recovery import recoveries


def test_a_kill_is_recovered_from_with_the_last_failure_sent_after_it() -> None:
    story = Story()
    story.did("product-read", "unknown", at_s=0.9, ended_s=4.0)  # sent before
    story.did("product-read", "unknown", at_s=1.5, ended_s=2.0)
    story.did("product-read", at_s=8.0)
    (found,) = recoveries(story.operations, [CausedFault("kill", "a", 1.0, 1.0, 3.0)])
    assert (found.seconds, found.failed, found.calm_s) == (1.0, 1, 7.5)
    assert not found.has_store
    assert not found.is_slow


def test_a_stores_recovery_counts_from_its_return() -> None:
    story = Story()
    story.did("product-read", "unknown", at_s=1.5, ended_s=2.0)
    story.did("product-read", "unknown", at_s=3.5, ended_s=4.0)
    story.did("product-read", at_s=8.0)
    killed = CausedFault("kill", "redis-cache", 1.0, 1.0, 3.0, 5.0, store=True)
    (found,) = recoveries(story.operations, [killed])
    assert (found.seconds, found.has_store) == (1.0, True)


def test_an_order_that_is_to_be_tried_again_is_no_full_service() -> None:
    story = Story()
    story.did("order", "refused", at_s=6.0, ended_s=7.0, key="a", status=409, error=BUSY)
    story.did("product-read", at_s=20.0)
    (found,) = recoveries(story.operations, [CausedFault("kill", "a", 1.0, 1.0, 1.0)])
    assert (found.seconds, found.is_slow) == (6.0, True)


def test_faults_at_nearly_the_same_time_are_one_round() -> None:
    story = Story()
    story.did("product-read", "unknown", at_s=3.0, ended_s=3.5)
    story.did("product-read", at_s=20.0)
    struck = [
        CausedFault("sigstop", "a", 1.0, 2.5, 2.6),
        CausedFault("kill", "b", 1.3, 1.3, 1.9),
        CausedFault("kill", "a", 9.0, 9.0, 9.5),
    ]
    first, second = recoveries(story.operations, struck)
    assert ([each.target for each in first.struck], first.seconds) == (["a", "b"], 1.0)
    assert (second.seconds, second.failed) == (0.0, 0)


def test_a_request_that_the_next_fault_caught_is_not_the_former_ones() -> None:
    story = Story()
    story.did("cart-read", "unknown", at_s=8.9, ended_s=9.1)
    story.did("cart-read", at_s=20.0)
    struck = [CausedFault("kill", "a", at_s, at_s, at_s + 0.5) for at_s in (1.0, 9.0)]
    assert [each.failed for each in recoveries(story.operations, struck)] == [0, 0]
