"""Day 3: two more replicas of a service: limits, network, process; then they take their turns."""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.course.lesson import Lesson, Part
from twinstack.course.turns_step import Turns
from twinstack.model.plan import Plan

#: Prints the first process of product-service-2, by either version of cgroups.
_PID = (
    "cat /sys/fs/cgroup{{/pids,}}/twinstack/{instance}/product-service-2/cgroup.procs 2>/dev/null"
    " | head -1"
)


def _turns(plan: Plan) -> Iterator[Turns]:
    edge = plan.replica("nginx-lb")
    replicas = plan.replicas_of("product-service")
    yield Turns(f"http://{edge.address}/api/products", tuple(each.name for each in replicas))


DAY = Lesson(
    day=3,
    title="Services, registry and balancing",
    services=True,
    parts=(
        Part("product-service-2's limits", ("cgroup product-service-2",)),
        Part("product-service-2's process", ("process product-service-2",)),
        Part("product-service-3's namespace", ("namespace product-service-3",)),
        Part("product-service-3's link", ("veth ve-product-3",)),
        Part("product-service-3's limits", ("cgroup product-service-3",)),
        Part("product-service-3's process", ("process product-service-3",)),
        Part("all three replicas take turns", own=_turns),
        Part(
            "who runs product-service-2",
            question="As which user (its number) does product-service-2 run?",
            answer=f'stat --format %u "/proc/$({_PID})"',
        ),
        Part(
            "what the script became",
            question="Which program does the process of product-service-2 run (its comm)?",
            answer=f'cat "/proc/$({_PID})/comm"',
        ),
    ),
)
