"""The tasks of the stack on several hosts."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from invoke.context import Context

from front import invocation, overlay_ssh, tables
from front.answering import (
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

if TYPE_CHECKING:
    from twinstack.overlay import world as overlays


HOSTS = {
    "hosts": "how many simulated hosts; 3 unless topology.yml names machines",
    "without": "hosts that are lost, with commas: what was on them goes to others",
}


def _names(written: str | None) -> frozenset[str] | None:
    if written is None:
        return None
    return frozenset(word.strip() for word in written.split(",") if word.strip())


def _count(hosts: int) -> int | None:
    return None if hosts == -1 else hosts


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
    if ssh:
        there = stack.from_environment().remote(
            overlay_ssh.options(ssh),
            shape,
            lost=_names(without),
            limited=limits,
            bare=not services,
            policy=policy,
        )
        overlay_ssh.up(there, timeout, json)
        return
    world = stack.from_environment().overlay(
        _count(hosts),
        shape,
        lost=_names(without),
        limited=limits,
        bare=not services,
        policy=policy,
    )
    show_states(world.up(timeout_s=timeout, progress=say), json)


@task(optional=["ssh"], help={**overlay_ssh.SSH, **JSON})
@guarded
def overlay_down(_: Context, ssh: str | None = None, json: bool = False) -> None:
    """Take the hosts down, with everything on them, their data too."""
    from twinstack.overlay import world as overlays

    if ssh:
        overlay_ssh.down(ssh, json)
        return
    root("overlay.down")
    removed = overlays.down(stack.from_environment().instance, progress=say)
    show_removed(removed, json)


@task(optional=["ssh"], help={**overlay_ssh.SSH, **JSON})
@checking
def overlay_status(_: Context, ssh: str | None = None, json: bool = False) -> None:
    """Show how each service does and where, and what is not as planned; exits 1 when any is not."""
    from twinstack.overlay import record

    root("overlay.status")
    if ssh:
        overlay_ssh.status(ssh, json)
        return
    here = stack.from_environment()
    world = here.overlay()
    states = world.status()
    if record.read(here.instance) is None:
        remedy = 'The overlay is not up; "invoke overlay.up" brings it up.'
        document = {"services": tables.states_json(states), "parts": []}
        answer(json, document, f"{tables.states(states)}\n\n{remedy}")
        sys.exit(1)
    parts = world.preview()
    differing = [part for part in parts if part.preview.changes or part.preview.unbuilt]
    lines = [f"{part.name}:\n{tables.differences(part.preview)}" for part in differing]
    document = {"services": tables.states_json(states), "parts": _parts(parts)}
    answer(json, document, "\n\n".join([tables.states(states), *lines]))
    ill = [state for state in states if state.state != "healthy" and not world.bare]
    end(1 if ill or differing else 0)


def _parts(parts: tuple[overlays.Part, ...]) -> list[dict[str, object]]:
    return [{"name": part.name, **tables.preview_json(part.preview)} for part in parts]


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
    if ssh:
        there = stack.from_environment().remote(
            overlay_ssh.options(ssh), shape, lost=_names(without), bare=not services, policy=policy
        )
        overlay_ssh.plan(there, json)
        return
    world = stack.from_environment().overlay(
        _count(hosts), shape, lost=_names(without), bare=not services, policy=policy
    )
    parts = world.preview()
    texts = [f"{part.name}:\n{tables.preview(part.preview)}" for part in parts]
    answer(json, {"parts": _parts(parts)}, "\n\n".join(texts))


@task(help=JSON)
@checking
def overlay_verify(_: Context, json: bool = False) -> None:
    """Ask who reaches whom across hosts, port by port, from each host in turn."""
    from twinstack.overlay import verify
    from twinstack.policy import verdict

    root("overlay.verify")
    world = stack.from_environment().overlay(policy=True)
    found = verify.verdicts(world)
    documents = {host: verdict.document(one) for host, one in found.items()}
    texts = [f"from {host}:\n{verdict.text(one, world.plan)}" for host, one in found.items()]
    answer(json, {"hosts": documents}, "\n\n".join(texts))
    end(0 if all(one.passed for one in found.values()) else 1)


@task(help={"seconds": "how long to watch", **JSON})
@checking
def overlay_watch(_: Context, seconds: int = 5, json: bool = False) -> None:
    """Watch the underlay for a while: is each frame sent to the one host that it is for?"""
    from twinstack.overlay import flooding, frames

    bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    root("overlay.watch")
    world = stack.from_environment().overlay()
    say(f"watching for {seconds} s")
    seen = flooding.watch(world.plan, world.spread, seconds)
    examples = list(seen.examples.values())
    shown = ["\n" + frames.layers(one) for one in examples[:1]]
    lines = [*flooding.sentences(seen, world.plan), *shown]
    document = {**asdict(seen), "examples": [asdict(one) for one in examples], "fine": seen.fine}
    answer(json, document, "\n".join(lines))
    end(2 if not seen.frames else 0 if seen.fine else 1)


@task(positional=["host"], help={"host": "which host to enter"})
@guarded
def overlay_exec(_: Context, host: str) -> None:
    """Run a command on a host: overlay.exec HOST -- COMMAND."""
    words = invocation.command_after_dashes("overlay.exec")
    root("overlay.exec")
    end(stack.from_environment().overlay().exec(host, words))


@task(
    positional=["service"],
    optional=["ssh"],
    help={"service": "whose log", "lines": "how many lines", **overlay_ssh.SSH},
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
