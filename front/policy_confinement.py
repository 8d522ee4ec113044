"""The task that holds both worlds' processes against the declared confinement."""

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
    from twinstack.confinement.requirements import ReplicaFacts, Weakness
    from twinstack.world import LocalWorld


_WHY = (
    "No PID namespace in net: a service is its supervisor's own child. In its place,\n"
    "/proc hides other users' processes, and no process may trace another."
)


@task(help=JSON)
@checking
def policy_confinement(_: Context, json: bool = False) -> None:
    """Read from /proc what holds each process of both worlds; exits 1 where it is too little."""
    from twinstack.confinement import observe, requirements

    root("policy.confinement")
    worlds = _worlds_up(stack.from_environment())
    found = {name: observe.look(world) for name, world in worlds.items()}
    weak = {
        name: [
            one
            for facts in found[name]
            for one in requirements.weaknesses(world.plan.replica(facts.name), facts)
        ]
        for name, world in worlds.items()
    }
    answer(json, _document(found, weak), _text(found, weak))
    end(1 if any(weak.values()) else 0)


def _worlds_up(here: stack.Stack) -> dict[str, LocalWorld]:
    """Give the worlds that are up, with the limits that are declared. Raises: Missing."""
    worlds: dict[str, LocalWorld] = {}
    if (shape := here.net_shape()) is not None:
        worlds["net"] = here.net(shape, limited=True)
    if (shape := here.docker_shape()) is not None:
        worlds["docker"] = here.docker(shape)
    if not worlds:
        raise Missing(
            "policy.confinement",
            "has nothing to look at",
            "no world is up",
            'run "invoke net.up" or "invoke docker.up"',
        )
    return worlds


def _document(
    found: Mapping[str, Sequence[ReplicaFacts]], weak: Mapping[str, Sequence[Weakness]]
) -> dict[str, Any]:
    from twinstack.confinement import requirements

    return {
        "level": asdict(requirements.LEVEL),
        "worlds": {
            name: {
                "replicas": [asdict(one) for one in replicas],
                "weaknesses": [asdict(one) for one in weak[name]],
            }
            for name, replicas in found.items()
        },
    }


def _text(
    found: Mapping[str, Sequence[ReplicaFacts]], weak: Mapping[str, Sequence[Weakness]]
) -> str:
    from twinstack.confinement import requirements

    parts = [tables.columns(requirements.HEADER, requirements.rows(found))]
    shared = {name: requirements.shared(replicas) for name, replicas in found.items()}
    aspects = next(iter(shared.values()))
    rows = [(what, name, told[what]) for what in aspects for name, told in shared.items()]
    parts.append(tables.columns(("all processes", "world", "what they have"), rows))
    if "net" in found:
        parts.append(_WHY)
    for name, several in weak.items():
        if several:
            said = (f"! {name}: {one}" for one in requirements.sentences(several))
            parts.append("\n".join(said))
        else:
            count = sum(len(one.processes) for one in found[name])
            parts.append(f"{name}: {count} of {count} processes hold the declared level.")
    return "\n\n".join(parts)
