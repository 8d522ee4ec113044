"""The tasks of the plan on Docker Swarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from front import invocation, tables
from front.reporting import answer, end, say, show_preview, show_removed, task, width
from twinstack import stack
from twinstack.model import bounds

if TYPE_CHECKING:
    from twinstack.swarm.facts import SwarmFacts
    from twinstack.swarm.world import SwarmWorld

HOSTS = {"hosts": "number of simulated hosts; unset: as many as are up, else 2"}
SHAPE = {
    "shape": "tiered (an overlay network for each tier) or flat (one network); unset: the running"
    " Swarm's, else tiered"
}


@task(help=SHAPE)
def swarm_render(_: Context, shape: str | None = None, limits: bool = True) -> None:
    """Print the stack file that swarm.up deploys on this kernel."""
    from twinstack.swarm.render import stack_text

    world = stack.from_environment().swarm(shape, limited=limits)
    print(stack_text(world.plan, world.exposure), end="")


@task(help={**HOSTS, **SHAPE})
def swarm_up(
    _: Context,
    hosts: int = 0,
    shape: str | None = None,
    limits: bool = True,
    timeout: int = bounds.UP_TIMEOUT_S,
    json: bool = False,
) -> None:
    """Bring the stack up on Docker Swarm, with one engine on each simulated host."""
    bounds.timeout(timeout)
    world = stack.from_environment().swarm(shape, hosts or None, limited=limits)
    world.up(timeout_s=timeout, progress=say)
    _show(world, world.facts(), json)


@task(help={**HOSTS, **SHAPE})
def swarm_plan(
    _: Context, hosts: int = 0, shape: str | None = None, limits: bool = True, json: bool = False
) -> None:
    """Show what swarm.up would do, each step with its reason and commands; changes nothing."""
    world = stack.from_environment().swarm(shape, hosts or None, limited=limits)
    show_preview(world.preview(), json)


@task()
def swarm_down(_: Context, json: bool = False) -> None:
    """Take the Swarm down: tasks, engines with all their data, and hosts."""
    from twinstack.swarm.teardown import down

    show_removed(down(stack.from_environment().instance, progress=say), json)


@task()
def swarm_status(_: Context, json: bool = False) -> None:
    """Show nodes and tasks; exits 1 if a node or a task is not ready, 2 if none is there."""
    world = stack.from_environment().swarm()
    facts = world.facts()
    complete = len(facts.members) == len(world.nodes)
    ready = complete and all(member.ready for member in facts.members)
    _show(world, facts, json, tables.exit_code(world.rows(facts), sound=ready))


@task()
def swarm_exec(_: Context, host: str) -> None:
    """Run a command on a host; DOCKER_HOST is its engine: swarm.exec HOST -- COMMAND."""
    command = invocation.command_after_dashes("swarm.exec")
    end(stack.from_environment().swarm().exec(host, command))


def _show(world: SwarmWorld, facts: SwarmFacts, json: bool, code: int = 0) -> None:
    from twinstack.swarm.status import SwarmStatus

    states = world.rows(facts)
    document = SwarmStatus(tuple(states), facts.members)
    text = tables.states(states, width())
    if facts.members:
        members = [
            (member.name, role, member.address, "ready" if member.ready else "down")
            for member in facts.members
            for role in ("manager" if member.manager else "worker",)
        ]
        nodes = tables.columns(("node", "role", "underlay", "state"), members, width())
        text = f"{nodes}\n\n{text}"
    answer(json, document, text, code)
