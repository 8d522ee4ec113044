"""The tasks of the namespace world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from front import documents, invocation, live, logs, tables
from front.reporting import (
    answer,
    end,
    say,
    show_preview,
    show_removed,
    show_states,
    task,
    width,
)
from twinstack import stack
from twinstack.errors import NOT_SO, NOTHING, TwinstackError
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:
    from twinstack.namespaces.logs import NamespaceLogs

SCRIPT = {"script": "print the network's steps as a shell script"}


@task()
def net_up(
    _: Context,
    shape: str | None = None,
    timeout: int = bounds.UP_TIMEOUT_S,
    limits: bool = True,
    services: bool = True,
    policy: bool = True,
    json: bool = False,
) -> None:
    """Bring the namespace world up and wait until every service is healthy."""
    bounds.timeout(timeout)
    require_root("net.up")
    world = stack.from_environment().net(shape, limited=limits, bare=not services, policy=policy)
    show_states(world.up(timeout_s=timeout, progress=say), json)


@task()
def net_down(_: Context, json: bool = False) -> None:
    """Take the namespace world down; PostgreSQL's data stays."""
    from twinstack.namespaces.world import down

    require_root("net.down")
    show_removed(down(stack.from_environment().instance, progress=say), json)


@task()
def net_status(_: Context, json: bool = False) -> None:
    """Show each service's state and what differs from the plan; exits 1 if anything does."""
    require_root("net.status")
    here = stack.from_environment()
    world = here.net()
    states = tuple(world.status())
    text = tables.states(states, width())
    if here.net_shape() is None:
        answer(json, documents.Status(states), f"{text}\n\n{world.absence()}", NOTHING)
    preview = world.preview()
    differences = tables.differences(preview)
    pending = documents.pending(preview)
    document = documents.Status(states, pending.changes, pending.unbuilt)
    sound = not differences and (tables.all_healthy(states) or world.bare)
    text = f"{text}\n\n{differences}" if differences else text
    answer(json, document, text, 0 if sound else NOT_SO)


@task(help=SCRIPT)
def net_plan(
    _: Context,
    shape: str | None = None,
    limits: bool = True,
    services: bool = True,
    policy: bool = True,
    script: bool = False,
    json: bool = False,
) -> None:
    """Show what net.up would do, each step with its reason and commands; changes nothing."""
    here = stack.from_environment()
    if script:  # from the plan alone: nothing is observed or built, so root is not needed
        from twinstack.namespaces import steps

        plan = here.net(shape, limited=limits, policy=policy).plan
        print(steps.script(steps.network_steps(plan)))
        return
    require_root("net.plan")
    show_preview(here.net(shape, limited=limits, bare=not services, policy=policy).preview(), json)


net_restart, net_scale, net_release = live.tasks("net")


@task()
def net_exec(_: Context, service: str) -> None:
    """Run a command in a service's network namespace: net.exec SERVICE -- COMMAND."""
    command = invocation.command_after_dashes("net.exec")
    require_root("net.exec")
    end(stack.from_environment().net().exec(service, command))


def _logged() -> tuple[NamespaceLogs, TwinstackError | None]:
    require_root("net.logs")
    here = stack.from_environment()
    kept = here.net_logs()
    if here.net_shape():
        return kept, None
    from twinstack.namespaces import marks

    names = here.net_outline()
    bridges = names.bridges.get(stack.DEFAULT_SHAPE, ())
    return kept, marks.absence(here.instance, bridges, (each.name for each in names.here))


net_logs = logs.task_of("net", _logged)
