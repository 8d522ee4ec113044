"""The overlay's tasks on machines that are reached by ssh, and what both kinds of host share."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from front import documents, tables
from front.reporting import answer, say, show_states, width
from twinstack import stack
from twinstack.errors import NOT_SO, NOTHING, CannotTell, Missing, WrongUse

if TYPE_CHECKING:
    from twinstack.overlay.remote import Remote
    from twinstack.reconcile import Preview

SSH = {"ssh": "use the machines that topology.yml names; --ssh='-i KEY' passes options to ssh"}


def options(ssh: str | bool) -> tuple[str, ...]:
    """Split the options for ssh, if any are given. Raises: TwinstackError."""
    try:
        return tuple(shlex.split(ssh)) if isinstance(ssh, str) else ()
    except ValueError as error:
        raise WrongUse("--ssh", "cannot be read", str(error), "close its quotes") from error


def running(ssh: str | bool, *, policy: bool | None = None) -> Remote:
    """Give what is up on the machines. Raises: Missing when nothing is; as `Stack.remote`."""
    from twinstack.overlay import record

    here = stack.from_environment()
    world = here.remote(options(ssh), policy=policy)
    if record.read(here.instance, ssh=True) is None:
        raise Missing("machines", "have nothing up", remedy='run "invoke overlay.up --ssh"')
    return world


def previews_text(previews: Mapping[str, Preview]) -> str:
    """Format what `up` would do on each host."""
    return "\n\n".join(f"{host}:\n{tables.preview(pending)}" for host, pending in previews.items())


def up(world: Remote, timeout: int, json: bool) -> None:
    """Deploy the plan to every machine. Raises: as `Remote.up`."""
    states = world.up(timeout_s=timeout, progress=say)
    if not world.bare:
        show_states(states, json)
        return
    counts = Counter(world.spread.where[state.name] for state in states)
    lines = [f"{host}: {count} namespaces, joined" for host, count in sorted(counts.items())]
    answer(json, documents.Services(tuple(states)), "\n".join(lines))


def status(ssh: str | bool, json: bool) -> None:
    """Show each service and the differences; exits 1 if there are any. Raises: CannotTell."""
    from twinstack.overlay import record

    here = stack.from_environment()
    world = here.remote(options(ssh))
    if record.read(here.instance, ssh=True) is None:
        text = 'Nothing is up there; "invoke overlay.up --ssh" brings it up.'
        answer(json, documents.HostsStatus(()), text, NOTHING)
    states, previews, unreached = world.inspect()
    if unreached and not previews:
        raise CannotTell("machines", "cannot be asked", str(next(iter(unreached.values()))))
    lines = [f"! {error}" for error in unreached.values()] + [
        f"! {host}: {line.removeprefix('! ')}"
        for host, preview in previews.items()
        for line in tables.differences(preview).splitlines()
    ]
    hosts = documents.pending_on(previews, unreached.items())
    sound = not lines and (tables.all_healthy(states) or world.bare)
    text = "\n".join([tables.states(states, width()), *lines])
    answer(json, documents.HostsStatus(tuple(states), hosts), text, 0 if sound else NOT_SO)


def plan(world: Remote, json: bool) -> None:
    """Show what up would do on each machine. Raises: as `Remote.previews`."""
    previews = world.previews(say)
    document = documents.HostPlans(documents.pending_on(previews))
    answer(json, document, previews_text(previews))


def down(ssh: str | bool, json: bool) -> None:
    """Remove everything of ours from every machine, uploads too. Raises: as `remote.down`."""
    from twinstack.overlay import remote

    here = stack.from_environment()
    removed = remote.down(here.instance, here.machines(options(ssh)), say)
    names = [(host, name) for host, of_host in removed.items() for name in of_host]
    text = "\n".join(f"{host}: removed {name}" for host, name in names)
    document = documents.Removed(tuple(f"{host}: {name}" for host, name in names))
    answer(json, document, text or "Nothing of ours is there.")
