"""Each path to another host is compared with a shorter one between the same two hosts."""

from __future__ import annotations

from bench.questions.hosts import CONTRASTS, LOOPBACK, ONE_HOST, RAW, SAME, SWARM


def test_every_path_but_the_shortest_is_compared_with_one_that_it_adds_to() -> None:
    order = (LOOPBACK, ONE_HOST, SAME, RAW, SWARM)
    assert [more for more, _, _ in sorted(CONTRASTS, key=lambda of: order.index(of[0]))] == [
        *order[1:]
    ]
    assert all(order.index(less) < order.index(more) for more, less, _ in CONTRASTS)
