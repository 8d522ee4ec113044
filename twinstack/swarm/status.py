"""Tasks as rows of a status: one for each task that a service is to have, had or not; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from twinstack.model.plan import Plan, Replica
from twinstack.swarm.exposure import Exposure
from twinstack.swarm.facts import TaskFacts
from twinstack.swarm.render import is_everywhere, services
from twinstack.world import ServiceState, State

_ENDED = frozenset({"failed", "rejected", "orphaned", "complete", "shutdown"})


def rows(
    plan: Plan, how: Exposure, nodes: Sequence[str], tasks: Sequence[TaskFacts]
) -> tuple[ServiceState, ...]:
    """Give them service by service. `nodes` names those that there are to be.

    Swarm says that a task runs when its health check has passed.
    """
    found: list[ServiceState] = []
    for replica in services(plan):
        own = [one for one in tasks if one.service == replica.service]
        if is_everywhere(plan, replica, how):
            found += [
                _row(plan, replica, name, [one for one in own if one.node == name])
                for name in nodes
            ]
        else:
            count = len(plan.replicas_of(replica.service))
            found += [
                _row(plan, replica, str(slot), [one for one in own if one.slot == slot])
                for slot in range(1, count + 1)
            ]
    return tuple(found)


def _row(plan: Plan, replica: Replica, key: str, tasks: Sequence[TaskFacts]) -> ServiceState:
    blank = ServiceState(
        f"{replica.service}-{key}", replica.service, "", "", replica.port, "absent"
    )
    if not tasks:
        return blank
    # While one follows another, the one that runs counts.
    task = min(
        tasks, key=lambda one: (not one.current, one.wanted != "running", one.state != "running")
    )
    home = plan.segment(replica.segment).docker_subnet
    address = next((one for one in task.addresses if IPv4Address(one) in home), "")
    state, detail = _state(task.state), task.detail
    if not task.current:
        state, detail = "starting", "is being replaced"
    elif task.state != "running":
        detail = detail or task.state
    return replace(blank, where=task.node, address=address, state=state, detail=detail)


def _state(state: str) -> State:
    if state == "running":
        return "healthy"
    return "stopped" if state in _ENDED else "starting"
