"""Day 5: the database's tier, and who may ask whom."""

from __future__ import annotations

from twinstack.course.lesson import Lesson, Part

DAY = Lesson(
    day=5,
    title="Tiers and policies",
    shape="tiered",
    policy=True,
    parts=(
        Part("the database's bridge", ("bridge br-database",)),
        Part("its ports", ("veth ve-redis-cache", "veth ve-postgres-db"), only=(" master ",)),
        Part("who may ask order-service", ("rules filter TO-order-service",), only=(" -A ",)),
        Part("who may ask redis-cache", ("rules filter TO-redis-cache",), only=(" -A ",)),
        Part("who may ask postgres-db", ("rules filter TO-postgres-db",), only=(" -A ",)),
        Part("what the outside may ask", ("rules filter INTO",), only=(" -A ",)),
        Part("services may not ask this host", ("rules filter INPUT",)),
        Part("every packet between tiers is judged", ("rules filter FORWARD",)),
    ),
)
