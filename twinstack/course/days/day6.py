"""Day 6: a container as Compose would create it, and what the kernel has of it."""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.compose.render import container_name
from twinstack.course.container_steps import CreatedContainer, NamedNamespace, StartedContainer
from twinstack.course.guest_step import Guest
from twinstack.course.lesson import Lesson, Part
from twinstack.model.plan import Plan

_SERVICE, _NAME = "order-service", "dk-order"
_PID = "docker inspect --format '{{{{.State.Pid}}}}' twinstack-{instance}-order-service"


def _created(plan: Plan) -> Iterator[CreatedContainer]:
    yield CreatedContainer(plan, _SERVICE)


def _started(plan: Plan) -> Iterator[StartedContainer]:
    yield StartedContainer(container_name(plan, plan.replica(_SERVICE)))


def _named(plan: Plan) -> Iterator[NamedNamespace]:
    yield NamedNamespace(_NAME, container_name(plan, plan.replica(_SERVICE)))


def _guest(plan: Plan) -> Iterator[Guest]:
    segment = plan.segment(plan.replica(_SERVICE).segment)
    subnet = segment.docker_subnet
    address = f"{subnet.network_address + 250}/{subnet.prefixlen}"
    yield Guest("guest", "ve-guest", segment.docker_bridge, address, segment.docker_gateway)


DAY = Lesson(
    day=6,
    title="The same in Docker, and what Compose did for you",
    world="docker",
    policy=True,
    services=True,
    parts=(
        Part("order-service's container", ("container *-order-service: create",), own=_created),
        Part("its process", ("container *-order-service: start",), own=_started),
        Part("a name for its network namespace", own=_named),
        Part("a namespace of yours beside it", own=_guest),
        Part(
            "the container's memory",
            question="In which cgroup is its process (the path of the controller memory)?",
            answer=(f"sed -nE 's/^([0-9]+:memory|0:):?//p' /proc/$({_PID})/cgroup | sort -u"),
        ),
        Part(
            "the container's cable",
            question="Which link of the host is the other end of its eth0?",
            answer=(
                f"n=$(nsenter --net=/proc/$({_PID})/ns/net ip -o link show dev eth0"
                " | sed -nE 's/.* eth0@if([0-9]+):.*/\\1/p');"
                ' ip -o link | sed -nE "s/^$n: ([^@:]+).*/\\1/p"'
            ),
        ),
    ),
)
