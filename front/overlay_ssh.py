"""What the overlay's tasks do where hosts are machines that ssh reaches."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from front import tables
from front.answering import answer, end, root, say, show_states
from twinstack import stack
from twinstack.errors import CannotTell, TwinstackError

if TYPE_CHECKING:
    from twinstack.overlay.remote import Remote, Share


SSH = {"ssh": "the machines of hosts.machines, by ssh; --ssh='-i KEY' gives options of ssh's"}


def options(ssh: str | bool) -> tuple[str, ...]:
    """Take ssh's own options apart, where any were given. Raises: TwinstackError."""
    try:
        return tuple(shlex.split(ssh)) if isinstance(ssh, str) else ()
    except ValueError as error:
        raise TwinstackError("--ssh", "cannot be read", str(error), "close its quotes") from error


def up(world: Remote, timeout: int, json: bool) -> None:
    """Bring the plan about on every machine. Raises: as `Remote.up`."""
    states = world.up(timeout_s=timeout, progress=say)
    if not world.bare:
        show_states(states, json)
        return
    found = Counter(world.spread.where[state.name] for state in states)
    lines = [f"{host}: {count} namespaces, joined" for host, count in sorted(found.items())]
    answer(json, {"namespaces": found}, "\n".join(lines))


def status(ssh: str | bool, json: bool) -> None:
    """Show each service and what is not as planned; exits 1 when any is not. Raises: CannotTell."""
    from twinstack.overlay import remote

    here = stack.from_environment()
    world = here.remote(options(ssh))
    if remote.recorded(here.instance) is None:
        nothing: dict[str, list[object]] = {"services": [], "machines": []}
        answer(json, nothing, 'Nothing is up there; "invoke overlay.up --ssh" brings it up.')
        sys.exit(1)
    states, shares = world.status()
    unreached = [one for one in shares if one.unreached]
    if len(unreached) == len(shares):
        raise CannotTell("machines", "cannot be asked", unreached[0].unreached)
    document = {"services": tables.states_json(states), "machines": _document(shares)}
    lines = [line for one in shares for line in _differences(one)]
    answer(json, document, "\n".join([tables.states(states), *lines]))
    ill = [state for state in states if state.state != "healthy" and not world.bare]
    end(1 if ill or lines else 0)


def _differences(one: Share) -> list[str]:
    if one.unreached:
        return [f"! {one.unreached}"]
    told = (*one.unbuilt, *(f"{name} {why}" for name, why, *_ in one.changes))
    return [f"! {one.host}: {line}" for line in told]


def _document(shares: Sequence[Share]) -> list[dict[str, object]]:
    return [
        {
            "name": one.host,
            "unreached": one.unreached,
            "unbuilt": list(one.unbuilt),
            "steps": one.planned,
            "changes": [
                {"step": name, "reason": why, "commands": list(commands)}
                for name, why, *commands in one.changes
            ],
        }
        for one in shares
    ]


def plan(world: Remote, json: bool) -> None:
    """Show what up would do on each machine. Raises: as `Remote.preview`."""
    shares = world.preview(say)
    lines = []
    for one in shares:
        lines.append(f"{one.host}: {len(one.changes)} of {one.planned} steps to do")
        lines += one.unbuilt
        lines += [f"- {name}: {why}" for name, why, *_ in one.changes]
    answer(json, {"machines": _document(shares)}, "\n".join(lines))


def down(ssh: str | bool, json: bool) -> None:
    """Remove what is ours from every machine, what was brought too. Raises: as `remote.down`."""
    from twinstack.overlay import remote

    root("overlay.down")
    here = stack.from_environment()
    found = remote.down(here.instance, here.machines(options(ssh)), say)
    lines = [f"{host}: removed {name}" for host, names in found.items() for name in names]
    answer(json, {"removed": found}, "\n".join(lines) or "Nothing of ours is there.")
