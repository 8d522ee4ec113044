"""The task that compares both worlds' processes with the declared confinement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from front import tables
from front.reporting import JSON, answer, checking, end, root, task
from twinstack import stack
from twinstack.errors import Missing

if TYPE_CHECKING:
    from twinstack.confinement.requirements import ConfinedReplica, Weakness
    from twinstack.world import LocalWorld


_WHY = (
    "No PID namespace in net: a service is its supervisor's own child. Instead, /proc hides\n"
    "other users' processes, and no process may trace another."
)


@task(help=JSON)
@checking
def policy_confinement(_: Context, json: bool = False) -> None:
    """Read from /proc how each process of both worlds is confined; exits 1 where it is too weak."""
    from twinstack.confinement import observe, requirements

    root("policy.confinement")
    worlds = _running_worlds(stack.from_environment())
    replicas = {name: observe.look(world) for name, world in worlds.items()}
    weaknesses = {
        name: [
            weakness
            for facts in replicas[name]
            for weakness in requirements.weaknesses(world.plan.replica(facts.name), facts)
        ]
        for name, world in worlds.items()
    }
    answer(json, _document(replicas, weaknesses), _text(replicas, weaknesses))
    end(1 if any(weaknesses.values()) else 0)


def _running_worlds(current: stack.Stack) -> dict[str, LocalWorld]:
    """Give the running worlds, with the declared limits. Raises: Missing."""
    worlds: dict[str, LocalWorld] = {}
    if (shape := current.net_shape()) is not None:
        worlds["net"] = current.net(shape, limited=True)
    if (shape := current.docker_shape()) is not None:
        worlds["docker"] = current.docker(shape)
    if not worlds:
        remedy = 'run "invoke net.up" or "invoke docker.up"'
        raise Missing("policy.confinement", "cannot be checked", "no world is up", remedy)
    return worlds


def _document(
    replicas: Mapping[str, Sequence[ConfinedReplica]], weaknesses: Mapping[str, Sequence[Weakness]]
) -> dict[str, Any]:
    from twinstack.confinement import requirements

    return {
        "level": asdict(requirements.LEVEL),
        "worlds": {
            name: {
                "replicas": [asdict(facts) for facts in observed],
                "weaknesses": [asdict(weakness) for weakness in weaknesses[name]],
            }
            for name, observed in replicas.items()
        },
    }


def _text(
    replicas: Mapping[str, Sequence[ConfinedReplica]], weaknesses: Mapping[str, Sequence[Weakness]]
) -> str:
    from twinstack.confinement import requirements

    parts = [tables.columns(requirements.HEADER, requirements.rows(replicas))]
    shared = {name: requirements.shared(observed) for name, observed in replicas.items()}
    aspects = next(iter(shared.values()))
    rows = [(what, name, values[what]) for what in aspects for name, values in shared.items()]
    parts.append(tables.columns(("all processes", "world", "what they have"), rows))
    if "net" in replicas:
        parts.append(_WHY)
    for name, found in weaknesses.items():
        if found:
            parts.append("\n".join(f"! {name}: {text}" for text in requirements.sentences(found)))
        else:
            count = sum(len(facts.processes) for facts in replicas[name])
            parts.append(f"{name}: {count} of {count} processes hold the declared level.")
    return "\n\n".join(parts)
