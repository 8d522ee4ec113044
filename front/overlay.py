"""The tasks of the stack on several hosts."""

from __future__ import annotations

from dataclasses import asdict

from invoke.context import Context

from front import invocation, overlay_ssh, tables
from front.reporting import (
    BARE,
    JSON,
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

HOSTS = {
    "hosts": "number of simulated hosts; 3 unless topology.yml names machines",
    "without": "lost hosts, separated by commas: their replicas go to other hosts",
}


def _lost(without: str | None) -> frozenset[str] | None:
    if without is None:
        return None
    return frozenset(name.strip() for name in without.split(",") if name.strip())


@task(optional=["ssh"], help={**UP, **HOSTS, **BARE, **overlay_ssh.SSH})
@guarded
def overlay_up(
    _: Context,
    hosts: int = -1,
    shape: str | None = None,
    timeout: int = UP_TIMEOUT_S,
    limits: bool = True,
    services: bool = True,
    policy: bool = True,
    without: str = "",
    ssh: str | None = None,
    json: bool = False,
) -> None:
    """Bring simulated hosts up, join them by VXLAN, and start each service where it is placed."""
    bounds.timeout(timeout)
    root("overlay.up")
    here, lost, bare = stack.from_environment(), _lost(without), not services
    if ssh:
        options = overlay_ssh.options(ssh)
        remote = here.remote(options, shape, lost=lost, limited=limits, bare=bare, policy=policy)
        overlay_ssh.up(remote, timeout, json)
        return
    count = None if hosts == -1 else hosts
    world = here.overlay(count, shape, lost=lost, limited=limits, bare=bare, policy=policy)
    show_states(world.up(timeout_s=timeout, progress=say), json)


@task(optional=["ssh"], help={**overlay_ssh.SSH, **JSON})
@guarded
def overlay_down(_: Context, ssh: str | None = None, json: bool = False) -> None:
    """Take the hosts down, with everything on them and their data."""
    root("overlay.down")
    if ssh:
        overlay_ssh.down(ssh, json)
        return
    from twinstack.overlay.teardown import down

    show_removed(down(stack.from_environment().instance, progress=say), json)


@task(optional=["ssh"], help={**overlay_ssh.SSH, **JSON})
@checking
def overlay_status(_: Context, ssh: str | None = None, json: bool = False) -> None:
    """Show each service's state and host, and what differs from the plan; exits 1 if any does."""
    root("overlay.status")
    if ssh:
        overlay_ssh.status(ssh, json)
        return
    from twinstack.overlay import record

    here = stack.from_environment()
    world = here.overlay()
    states = world.status()
    document: dict[str, object] = {"services": tables.states_json(states), "parts": []}
    if record.read(here.instance) is None:
        remedy = 'The overlay is not up; "invoke overlay.up" brings it up.'
        answer(json, document, f"{tables.states(states)}\n\n{remedy}")
        end(1)
    previews = world.previews()
    document["parts"] = overlay_ssh.previews_json(previews)
    texts = [
        f"{host}:\n{tables.differences(preview)}"
        for host, preview in previews.items()
        if preview.changes or preview.unbuilt
    ]
    answer(json, document, "\n\n".join([tables.states(states), *texts]))
    unhealthy = not world.bare and any(state.state != "healthy" for state in states)
    end(1 if unhealthy or texts else 0)


@task(optional=["ssh"], help={**HOSTS, **BARE, "shape": UP["shape"], **overlay_ssh.SSH, **JSON})
@guarded
def overlay_plan(
    _: Context,
    hosts: int = -1,
    shape: str | None = None,
    services: bool = True,
    policy: bool = True,
    without: str | None = None,
    ssh: str | None = None,
    json: bool = False,
) -> None:
    """Show what overlay.up would do, on the underlay and on each host; changes nothing."""
    root("overlay.plan")
    here, lost, bare = stack.from_environment(), _lost(without), not services
    if ssh:
        options = overlay_ssh.options(ssh)
        overlay_ssh.plan(here.remote(options, shape, lost=lost, bare=bare, policy=policy), json)
        return
    count = None if hosts == -1 else hosts
    previews = here.overlay(count, shape, lost=lost, bare=bare, policy=policy).previews()
    texts = [f"{host}:\n{tables.preview(found)}" for host, found in previews.items()]
    answer(json, {"parts": overlay_ssh.previews_json(previews)}, "\n\n".join(texts))


@task(help=JSON)
@checking
def overlay_verify(_: Context, json: bool = False) -> None:
    """Ask who reaches whom across hosts, port by port, from each host in turn."""
    from twinstack.overlay import verify
    from twinstack.policy import verdict

    root("overlay.verify")
    world = stack.from_environment().overlay(policy=True)
    verdicts = verify.verdicts(world)
    documents = {host: verdict.document(found) for host, found in verdicts.items()}
    texts = [f"from {host}:\n{verdict.text(found, world.plan)}" for host, found in verdicts.items()]
    answer(json, {"hosts": documents}, "\n\n".join(texts))
    end(0 if all(found.passed for found in verdicts.values()) else 1)


@task(help={"seconds": "how long to watch", **JSON})
@checking
def overlay_watch(_: Context, seconds: int = 5, json: bool = False) -> None:
    """Watch the underlay for a while: does every frame go to the one host that it is for?"""
    from twinstack.overlay import flooding, frames

    bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    root("overlay.watch")
    world = stack.from_environment().overlay()
    say(f"watching for {seconds} s")
    seen = flooding.watch(world.plan, world.spread, seconds)
    examples = list(seen.examples.values())
    shown = ["\n" + frames.layers(frame) for frame in examples[:1]]
    lines = [*flooding.sentences(seen, world.plan), *shown]
    written = [asdict(frame) for frame in examples]
    answer(json, {**asdict(seen), "examples": written, "fine": seen.fine}, "\n".join(lines))
    end(2 if not seen.frames else 0 if seen.fine else 1)


@task(positional=["host"], help={"host": "the host to run it on"})
@guarded
def overlay_exec(_: Context, host: str) -> None:
    """Run a command on a host: overlay.exec HOST -- COMMAND."""
    command = invocation.command_after_dashes("overlay.exec")
    root("overlay.exec")
    end(stack.from_environment().overlay().exec(host, command))


@task(
    positional=["service"],
    optional=["ssh"],
    help={"service": "the service or replica", "lines": "number of lines", **overlay_ssh.SSH},
)
@guarded
def overlay_logs(_: Context, service: str, lines: int = 50, ssh: str | None = None) -> None:
    """Show the end of a service's log, from the host that it is on."""
    bounds.lines(lines)
    root("overlay.logs")
    here = stack.from_environment()
    world = here.remote(overlay_ssh.options(ssh)) if ssh else here.overlay()
    print(world.logs(service, lines=lines), end="")


#: The collection `overlay`, by the word after its dot.
TASKS = {
    "up": overlay_up,
    "down": overlay_down,
    "status": overlay_status,
    "plan": overlay_plan,
    "exec": overlay_exec,
    "logs": overlay_logs,
    "verify": overlay_verify,
    "watch": overlay_watch,
}
