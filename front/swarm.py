"""The tasks of the plan on Docker Swarm."""

from __future__ import annotations

from dataclasses import asdict

from invoke.context import Context

from front import invocation, tables
from front.answering import (
    JSON,
    answer,
    checking,
    end,
    guarded,
    say,
    show_removed,
    task,
)
from twinstack import stack
from twinstack.model import bounds
from twinstack.model.bounds import UP_TIMEOUT_S
from twinstack.swarm.facts import Facts
from twinstack.swarm.world import SwarmWorld

HOSTS = {"hosts": "how many hosts are simulated; as there are, or 2"}
SHAPE = {"shape": "tiered (an overlay network for each tier, as at first) or flat (one)"}
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
    steps = stack.from_environment().swarm(shape, hosts or None, limited=limits).preview()
    lines = [f"{len(steps)} steps to do:"] if steps else ["Nothing to do: all is as planned."]
    for step in steps:
        lines.append(f"- {step.title}: {step.reason}")
        lines += [f"    {step.command}"] if step.command else []
    document = [{"step": step.title, **asdict(step)} for step in steps]
    answer(json, {"steps": document}, "\n".join(lines))


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
    well = all(one.ready for one in facts.members) and len(facts.members) == len(world.nodes)
    end(0 if well and all(one.state == "healthy" for one in world.rows(facts)) else 1)


@task(positional=["host"], help={"host": "on which"})
@guarded
def swarm_exec(_: Context, host: str) -> None:
    """Run a command on a host, its engine for Docker's client: swarm.exec HOST -- COMMAND."""
    words = invocation.command_after_dashes("swarm.exec")
    end(stack.from_environment().swarm().exec(host, words))


@task(positional=["host"], help={"host": "which"})
@guarded
def swarm_lose(_: Context, host: str) -> None:
    """Let a host's engine and its tasks end at once, as a loss of power; swarm.up mends it."""
    lost = stack.from_environment().swarm().lose(host)
    print(f"{host}: its engine and tasks ended" if lost else f"{host}: nothing ran there")


def _show(world: SwarmWorld, facts: Facts, json: bool) -> None:
    rows = world.rows(facts)
    members = [asdict(one) for one in facts.members]
    nodes = tables.columns(
        ("node", "role", "underlay", "state"),
        [
            (
                one.name,
                "manager" if one.manager else "worker",
                one.address,
                "ready" if one.ready else "down",
            )
            for one in facts.members
        ],
    )
    text = f"{nodes}\n\n{tables.states(rows)}" if members else tables.states(rows)
    answer(json, {"nodes": members, "services": tables.states_json(rows)}, text)


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
