"""Day 3: two more replicas of a service: limits, network, process; then they take their turns."""

from __future__ import annotations

from twinstack.course.lesson import Lesson, Part

#: Prints the first process of product-service-2, by either version of cgroups.
_PID = (
    "cat /sys/fs/cgroup{{/pids,}}/twinstack/{instance}/product-service-2/cgroup.procs 2>/dev/null"
    " | head -1"
)
#: Prints the replicas that answer nine requests.
_ANSWERING = (
    "for n in 1 2 3 4 5 6 7 8 9; do"
    " curl -s -m 2 -o /dev/null -D - http://{nginx-lb.address}/api/products;"
    " done | grep -i ^x-served-by | sort -u"
)
_ALL_THREE = f'[ "$({_ANSWERING} | wc -l)" = 3 ]'

DAY = Lesson(
    day=3,
    title="Services, registry and balancing",
    parts=(
        Part("product-service-2's limits", ("cgroup product-service-2",)),
        Part("product-service-2's process", ("process product-service-2",)),
        Part("product-service-3's namespace", ("namespace product-service-3",)),
        Part("product-service-3's link", ("veth ve-product-3",)),
        Part("product-service-3's limits", ("cgroup product-service-3",)),
        Part("product-service-3's process", ("process product-service-3",)),
        Part(
            "all three replicas take turns",
            probes=(_ALL_THREE,),
            missing="nine requests were not answered by three replicas",
            solution=(f"for try in {{{{1..40}}}}; do {_ALL_THREE} && break; sleep 0.5; done",),
        ),
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
