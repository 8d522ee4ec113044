"""The tasks of the namespace world."""

from __future__ import annotations

import sys

from invoke.context import Context

from front import invocation, tables
from front.reporting import (
    BARE,
    JSON,
    SHAPE,
    UP,
    answer,
    checking,
    end,
    guarded,
    root,
    say,
    show_removed,
    show_states,
    task,
)
from twinstack import stack
from twinstack.model import bounds
from twinstack.model.bounds import UP_TIMEOUT_S


@task(help={**UP, **BARE})
@guarded
def net_up(
    _: Context,
    shape: str | None = None,
    timeout: int = UP_TIMEOUT_S,
    limits: bool = True,
    services: bool = True,
    policy: bool = True,
    json: bool = False,
) -> None:
    """Bring the namespace world up and wait until it is healthy."""
    bounds.timeout(timeout)
    root("net.up")
    world = stack.from_environment().net(shape, limited=limits, bare=not services, policy=policy)
    found = world.up(timeout_s=timeout, progress=say)
    show_states(found, json)


@task(help=JSON)
@guarded
def net_down(_: Context, json: bool = False) -> None:
    """Take the namespace world down; PostgreSQL's data stays."""
    from twinstack.namespaces.world import down

    root("net.down")
    removed = down(stack.from_environment().instance, progress=say)
    show_removed(removed, json)


@task(help=JSON)
@checking
def net_status(_: Context, json: bool = False) -> None:
    """Show how each service does, and what is not as planned; exits 1 when anything is not."""
    root("net.status")
    here = stack.from_environment()
    world = here.net()
    states = world.status()
    if here.net_shape() is None:
        remedy = 'The namespace world is not up; "invoke net.up" brings it up.'
        document = {"services": tables.states_json(states), "differences": []}
        answer(json, document, f"{tables.states(states)}\n\n{remedy}")
        sys.exit(1)
    preview = world.preview()
    differences = tables.differences(preview)
    text = "\n\n".join([tables.states(states), *([differences] if differences else [])])
    changes = tables.preview_json(preview)["changes"]
    answer(json, {"services": tables.states_json(states), "differences": changes}, text)
    unhealthy = any(state.state != "healthy" for state in states) and not world.bare
    end(1 if unhealthy or differences else 0)


@task(
    help={
        **SHAPE,
        **BARE,
        "limits": "--no-limits lifts CPU, memory and pids limits",
        "script": "print the network's steps as a shell script",
        **JSON,
    }
)
@guarded
def net_plan(
    _: Context,
    shape: str | None = None,
    limits: bool = True,
    services: bool = True,
    policy: bool = True,
    script: bool = False,
    json: bool = False,
) -> None:
    """Show what net.up would do, each step with the command that it equals; changes nothing."""
    here = stack.from_environment()
    if script:  # of the plan alone: the kernel is not looked at, nor anything built
        from twinstack.namespaces import steps

        plan = here.plan(shape or here.net_shape(), limited=limits, policy=policy)
        print(steps.script(steps.network_steps(plan)))
        return
    root("net.plan")
    preview = here.net(shape, limited=limits, bare=not services, policy=policy).preview()
    answer(json, tables.preview_json(preview), tables.preview(preview))


@task(positional=["service"], help={"service": "whose network to enter"})
@guarded
def net_exec(_: Context, service: str) -> None:
    """Run a command of the host's in a service's network: net.exec SERVICE -- COMMAND."""
    words = invocation.command_after_dashes("net.exec")
    root("net.exec")
    end(stack.from_environment().net().exec(service, words))


@task(positional=["service"], help={"service": "whose log", "lines": "how many lines"})
@guarded
def net_logs(_: Context, service: str, lines: int = 50) -> None:
    """Show the end of a service's log."""
    bounds.lines(lines)
    root("net.logs")
    print(stack.from_environment().net().logs(service, lines=lines), end="")


#: The collection `net`, by the word after its dot.
TASKS = {
    "up": net_up,
    "down": net_down,
    "status": net_status,
    "plan": net_plan,
    "exec": net_exec,
    "logs": net_logs,
}
