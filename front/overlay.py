"""The tasks of the stack on several hosts; `chaos` breaks one of them."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from invoke.context import Context

from front import documents, invocation, logs, overlay_ssh, tables
from front.overlay_ssh import SSH
from front.reporting import answer, end, say, show_removed, show_states, task, width
from twinstack import stack
from twinstack.errors import NOT_SO, NOTHING, Missing, WrongUse
from twinstack.model import bounds
from twinstack.world import require_root

HOSTS = {
    "hosts": "number of simulated hosts; unset: as many as are up, else 3, or one for each machine"
    " that topology.yml names",
    "without": "lost hosts, separated by commas: their replicas are placed on other hosts",
}


def _options(shape: str | None, services: bool, policy: bool, without: str | None) -> Any:
    """Give the options of a world; `without` None keeps the lost hosts of the running one."""
    lost = None if without is None else frozenset(filter(None, map(str.strip, without.split(","))))
    return {"shape": shape, "lost": lost, "bare": not services, "policy": policy}


@task(optional=["ssh"], help={**HOSTS, **SSH})
def overlay_up(
    _: Context,
    hosts: int = -1,
    shape: str | None = None,
    timeout: int = bounds.UP_TIMEOUT_S,
    limits: bool = True,
    services: bool = True,
    policy: bool = True,
    without: str = "",
    ssh: str | None = None,
    json: bool = False,
) -> None:
    """Bring several hosts up, join them by VXLAN, and start each service on its host."""
    bounds.timeout(timeout)
    require_root("overlay.up")
    here = stack.from_environment()
    options = _options(shape, services, policy, without) | {"limited": limits}
    if ssh:
        overlay_ssh.up(here.remote(overlay_ssh.options(ssh), **options), timeout, json)
        return
    world = here.overlay(None if hosts == -1 else hosts, **options)
    show_states(world.up(timeout_s=timeout, progress=say), json)


@task(optional=["ssh"], help=SSH)
def overlay_down(_: Context, ssh: str | None = None, json: bool = False) -> None:
    """Take the overlay down: hosts, services and their data."""
    require_root("overlay.down")
    if ssh:
        overlay_ssh.down(ssh, json)
        return
    from twinstack.overlay.teardown import down

    show_removed(down(stack.from_environment().instance, progress=say), json)


@task(optional=["ssh"], help=SSH)
def overlay_status(_: Context, ssh: str | None = None, json: bool = False) -> None:
    """Show each service's state and host, and what differs from the plan; exits 1 if any does."""
    require_root("overlay.status")
    if ssh:
        overlay_ssh.status(ssh, json)
        return
    from twinstack.overlay import record

    here = stack.from_environment()
    world = here.overlay()
    states = tuple(world.status())
    text = tables.states(states, width())
    if record.read(here.instance) is None:
        remedy = 'The overlay is not up; "invoke overlay.up" brings it up.'
        answer(json, documents.HostsStatus(states), f"{text}\n\n{remedy}", NOTHING)
    previews = world.previews()
    differing = {
        host: lines for host, preview in previews.items() if (lines := tables.differences(preview))
    }
    texts = [f"{host}:\n{lines}" for host, lines in differing.items()]
    document = documents.HostsStatus(states, documents.pending_on(previews))
    sound = not texts and (tables.all_healthy(states) or world.bare)
    answer(json, document, "\n\n".join([text, *texts]), 0 if sound else NOT_SO)


@task(optional=["ssh"], help={**HOSTS, **SSH})
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
    """Show what overlay.up would do on the underlay and on each host; changes nothing."""
    require_root("overlay.plan")
    here, options = stack.from_environment(), _options(shape, services, policy, without)
    if ssh:
        overlay_ssh.plan(here.remote(overlay_ssh.options(ssh), **options), json)
        return
    previews = here.overlay(None if hosts == -1 else hosts, **options).previews()
    document = documents.HostPlans(documents.pending_on(previews))
    answer(json, document, overlay_ssh.previews_text(previews))


@task(optional=["ssh"], help=SSH)
def overlay_verify(_: Context, ssh: str | None = None, json: bool = False) -> None:
    """Probe every port between replicas, from each host in turn, and compare with the policy."""
    from twinstack.overlay import verify
    from twinstack.policy import verdict

    require_root("overlay.verify")
    if ssh:
        machines = overlay_ssh.running(ssh, policy=True)
        plan, verdicts = machines.plan, machines.verify()
    else:
        world = stack.from_environment().overlay(policy=True)
        plan, verdicts = world.plan, verify.verdicts(world)
    texts = [f"from {host}:\n{verdict.text(seen, plan)}" for host, seen in verdicts.items()]
    hosts = tuple(verdict.verified(seen, host) for host, seen in verdicts.items())
    passed = all(seen.passed for seen in verdicts.values())
    answer(json, verdict.HostVerdicts(hosts), "\n\n".join(texts), 0 if passed else NOT_SO)


@task(optional=["ssh"], help={"seconds": "how long to capture", **SSH})
def overlay_watch(_: Context, seconds: int = 5, ssh: str | None = None, json: bool = False) -> None:
    """Capture the underlay: does every frame reach only the host that it is addressed to?"""
    from twinstack.overlay import flooding, frames

    bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    require_root("overlay.watch")
    if ssh:
        machines = overlay_ssh.running(ssh)
        plan, seen = machines.plan, machines.watch(seconds, say)
    else:
        world = stack.from_environment().overlay()
        begun = partial(say, f"capturing for {seconds} s")
        plan, seen = world.plan, flooding.watch(world.plan, world.spread, seconds, begun)
    shown = ["\n" + frames.layers(frame) for frame in [*seen.examples.values()][:1]]
    lines = [*flooding.sentences(seen, plan), *shown]
    code = NOTHING if not seen.frames else 0 if seen.fine else NOT_SO
    answer(json, seen, "\n".join(lines), code)


@task(optional=["ssh"], help=SSH)
def overlay_exec(_: Context, host: str, ssh: str | None = None) -> None:
    """Run a command on a host: overlay.exec HOST -- COMMAND."""
    command = invocation.command_after_dashes("overlay.exec")
    here = stack.from_environment()
    if ssh:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        end(here.remote(overlay_ssh.options(ssh)).exec(host, command, terminal=terminal))
        return
    require_root("overlay.exec")
    end(here.overlay().exec(host, command))


@task(optional=["ssh"], **logs.declared(SSH))
def overlay_logs(
    _: Context,
    service: list[str],
    lines: int | None = None,
    follow: bool = False,
    since: str = "",
    level: str = "",
    request: str = "",
    ssh: str | None = None,
    json: bool = False,
) -> None:
    """Show logs of every host, merged in order of time: all of them, or some services'."""
    from twinstack.overlay import record

    asked = logs.LogOptions(service, lines, follow, since, level, request, json)
    asked.check()
    if ssh and follow:
        cause, remedy = "machines are asked once", "leave one of them out"
        raise WrongUse("--follow", "cannot go with --ssh", cause, remedy)
    require_root("overlay.logs")
    here = stack.from_environment()
    if ssh:
        logs.show(here.remote(overlay_ssh.options(ssh)), asked, "overlay")
    else:
        absence = Missing("overlay", "is not up", remedy='run "invoke overlay.up"')
        up = record.read(here.instance) is not None
        logs.show(here.overlay(), asked, "overlay", None if up else absence)
