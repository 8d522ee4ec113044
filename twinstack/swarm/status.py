"""Tasks as rows of a status: one row for each task that a service should have; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from twinstack.model.plan import Plan, Replica
from twinstack.swarm.exposure import Exposure
from twinstack.swarm.facts import MemberFacts, TaskFacts
from twinstack.swarm.render import is_global, services
from twinstack.world import ServiceState, State

_ENDED = frozenset({"failed", "rejected", "orphaned", "complete", "shutdown"})


@dataclass(frozen=True, slots=True)
class SwarmStatus:
    """The state of each task, and the cluster's members."""

    services: tuple[ServiceState, ...]
    nodes: tuple[MemberFacts, ...]


def rows(
    plan: Plan, how: Exposure, nodes: Sequence[str], tasks: Sequence[TaskFacts]
) -> tuple[ServiceState, ...]:
    """Give the rows service by service; `nodes` names the declared ones.

    To Swarm, a task is running once its health check has passed.
    """
    found = []
    for replica in services(plan):
        own = [task for task in tasks if task.service == replica.service]
        if is_global(plan, replica, how):
            keyed = {name: [task for task in own if task.node == name] for name in nodes}
        else:
            slots = range(1, len(plan.replicas_of(replica.service)) + 1)
            keyed = {str(slot): [task for task in own if task.slot == slot] for slot in slots}
        found += [_row(plan, replica, key, tasks) for key, tasks in keyed.items()]
    return tuple(found)


def _row(plan: Plan, replica: Replica, key: str, tasks: Sequence[TaskFacts]) -> ServiceState:
    name = f"{replica.service}-{key}"
    absent = ServiceState(name, replica.service, "", "", replica.port, "absent")
    if not tasks:
        return absent
    # During a replacement, the task that runs counts.
    task = min(
        tasks,
        key=lambda task: (not task.current, task.desired != "running", task.state != "running"),
    )
    home = plan.segment(replica.segment).docker_subnet
    address = next((address for address in task.addresses if IPv4Address(address) in home), "")
    state: State = "stopped" if task.state in _ENDED else "starting"
    detail = task.detail or task.state
    if not task.current:
        state, detail = "starting", "is being replaced"
    elif task.state == "running":
        state, detail = "healthy", task.detail
    return replace(absent, where=task.node, address=address, state=state, detail=detail)
