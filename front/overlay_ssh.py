"""What the overlay's tasks do where hosts are machines that ssh reaches: networks, no services."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from front.answering import answer, say
from twinstack import stack
from twinstack.overlay import remote

SSH = {"ssh": "the machines of hosts.machines, by ssh; --ssh='-i KEY' gives options of ssh's"}


def _machines(here: stack.Stack, ssh: str | bool) -> tuple[remote.Machine, ...]:
    return here.machines(shlex.split(ssh) if isinstance(ssh, str) else ())


def up(ssh: str | bool, shape: str | None, policy: bool, lost: frozenset[str], json: bool) -> None:
    """Bring the networks about on every machine. Raises: StepFailed, SeveralFailed."""
    here = stack.from_environment()
    machines = [one for one in _machines(here, ssh) if one.host.name not in lost]
    for one in machines:
        remote.same_python(one)
    order = here.order("up", shape=shape, policy=policy, lost=lost)
    found = remote.ask_each(machines, order, say)
    lines = [f"{host}: {count} namespaces, joined" for host, count in sorted(found.items())]
    answer(json, {"namespaces": found}, "\n".join(lines))


def plan(ssh: str | bool, shape: str | None, policy: bool, lost: frozenset[str],
         json: bool) -> None:  # fmt: skip
    """Show what up would do on each machine. Raises: StepFailed, SeveralFailed."""
    here = stack.from_environment()
    machines = [one for one in _machines(here, ssh) if one.host.name not in lost]
    order = here.order("plan", shape=shape, policy=policy, lost=lost)
    found: Mapping[str, Mapping[str, list[list[str]]]] = remote.ask_each(machines, order, say)
    lines = [
        f"{host}: {len(told['changes'])} of {told['planned']} steps to do"
        + "".join(f"\n- {name}: {why}" for name, why in told["changes"])
        for host, told in sorted(found.items())
    ]
    answer(json, {"machines": found}, "\n".join(lines))


def down(ssh: str | bool, json: bool) -> None:
    """Remove what is ours from every machine, the agent too. Raises: StepFailed, SeveralFailed."""
    here = stack.from_environment()
    machines = _machines(here, ssh)
    found = remote.ask_each(machines, here.order("down"), say)
    for one in machines:
        remote.forget(one)
    lines = [f"{host}: removed {name}" for host, names in found.items() for name in names]
    answer(json, {"removed": found}, "\n".join(lines) or "Nothing of ours is there.")
