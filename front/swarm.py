"""The tasks of the plan on Docker Swarm."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from invoke.context import Context

from front import invocation, tables
from front.reporting import JSON, answer, checking, end, guarded, say, show_removed, task
from twinstack import stack
from twinstack.model import bounds
from twinstack.model.bounds import UP_TIMEOUT_S

if TYPE_CHECKING:
    from twinstack.swarm.facts import SwarmFacts
    from twinstack.swarm.world import SwarmWorld

HOSTS = {"hosts": "number of simulated hosts; as many as there are, or 2"}
SHAPE = {"shape": "tiered (an overlay network for each tier, the default) or flat (one network)"}
LIMITS = {"limits": "--no-limits lifts CPU, memory and pids limits"}


@task(help={**SHAPE, **LIMITS})
@guarded
def swarm_render(_: Context, shape: str | None = None, limits: bool = True) -> None:
    """Print the stack file that swarm.up deploys on this kernel."""
    from twinstack.swarm.render import stack_text

    world = stack.from_environment().swarm(shape, limited=limits)
    print(stack_text(world.plan, world.exposure), end="")


@task(
    help={**HOSTS, **SHAPE, **LIMITS, "timeout": "seconds until every task must be healthy", **JSON}
)
@guarded
def swarm_up(
    _: Context,
    hosts: int = 0,
    shape: str | None = None,
    limits: bool = True,
    timeout: int = UP_TIMEOUT_S,
    json: bool = False,
) -> None:
    """Bring the stack up on a Swarm of engines, one on each simulated host."""
    bounds.timeout(timeout)
    world = stack.from_environment().swarm(shape, hosts or None, limited=limits)
    world.up(timeout_s=timeout, progress=say)
    _show(world, world.facts(), json)


@task(help={**HOSTS, **SHAPE, **LIMITS, **JSON})
@guarded
def swarm_plan(
    _: Context, hosts: int = 0, shape: str | None = None, limits: bool = True, json: bool = False
) -> None:
    """Show what swarm.up would do, each step with its reason and command; changes nothing."""
    found = stack.from_environment().swarm(shape, hosts or None, limited=limits).preview()
    answer(json, tables.preview_json(found), tables.preview(found))


@task(help=JSON)
@guarded
def swarm_down(_: Context, json: bool = False) -> None:
    """Remove the Swarm: tasks, engines with all their data, hosts."""
    from twinstack.swarm.teardown import down

    show_removed(down(stack.from_environment().instance, progress=say), json)


@task(help=JSON)
@checking
def swarm_status(_: Context, json: bool = False) -> None:
    """Show nodes and tasks; exits 1 when a node is not ready or a task not healthy."""
    world = stack.from_environment().swarm()
    facts = world.facts()
    _show(world, facts, json)
    complete = len(facts.members) == len(world.nodes)
    ready = complete and all(member.ready for member in facts.members)
    end(0 if ready and all(row.state == "healthy" for row in world.rows(facts)) else 1)


@task(positional=["host"], help={"host": "the host to run it on"})
@guarded
def swarm_exec(_: Context, host: str) -> None:
    """Run a command on a host, with DOCKER_HOST set to its engine: swarm.exec HOST -- COMMAND."""
    command = invocation.command_after_dashes("swarm.exec")
    end(stack.from_environment().swarm().exec(host, command))


@task(positional=["host"], help={"host": "the host"})
@guarded
def swarm_lose(_: Context, host: str) -> None:
    """Kill a host's engine and its tasks, as a power cut would; swarm.up starts them again."""
    lost = stack.from_environment().swarm().lose(host)
    print(f"{host}: its engine and tasks ended" if lost else f"{host}: nothing ran there")


def _show(world: SwarmWorld, facts: SwarmFacts, json: bool) -> None:
    states = world.rows(facts)
    document = {
        "nodes": [asdict(member) for member in facts.members],
        "services": tables.states_json(states),
    }
    text = tables.states(states)
    if facts.members:
        members = [
            (
                member.name,
                "manager" if member.manager else "worker",
                member.address,
                "ready" if member.ready else "down",
            )
            for member in facts.members
        ]
        text = f"{tables.columns(('node', 'role', 'underlay', 'state'), members)}\n\n{text}"
    answer(json, document, text)


#: The collection `swarm`, by the word after its dot.
TASKS = {
    "render": swarm_render,
    "up": swarm_up,
    "plan": swarm_plan,
    "down": swarm_down,
    "status": swarm_status,
    "exec": swarm_exec,
    "lose": swarm_lose,
}
