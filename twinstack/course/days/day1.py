"""Day 1: a namespace, and the veth pair that joins it to the bridge."""

from __future__ import annotations

from twinstack.course.lesson import Lesson, Part

DAY = Lesson(
    day=1,
    title="Namespaces and veth pairs by hand",
    parts=(
        Part("order-service's namespace", ("namespace order-service",)),
        Part("order-service's veth pair", ("veth ve-order",)),
        Part("redis-cache's namespace", ("namespace redis-cache",)),
        Part("redis-cache's veth pair", ("veth ve-redis-cache",)),
    ),
)
