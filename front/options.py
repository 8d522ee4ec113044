"""The options that several tasks share: their help, their checks, and the worlds that they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinstack import stack
from twinstack.errors import CannotTell, Missing, WrongUse
from twinstack.world import namespaces_of

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.model.topology import WorldName
    from twinstack.world import LocalWorld

WORLDS: tuple[WorldName, ...] = ("net", "docker")

#: The help of the options that have one meaning in most tasks.
HELP = {
    "json": "print the result as one JSON document",
    "world": "the world to use: net or docker",
    "shape": "flat (one bridge) or tiered (three bridges, routed by the host); unset: the running"
    " world's, else flat",
    "timeout": "seconds to wait until every service is healthy",
    "limits": "--no-limits removes the CPU, memory and PID limits",
    "services": "--no-services sets up the network but starts no service",
    "policy": "--no-policy allows all traffic between services",
    "allow": "a key in which the worlds may differ, as the refusal names it; may be repeated",
    "service": "the service or replica, for example product-service-2",
    "host": "the host to run the command on, for example host-2",
}
JSON, WORLD, SHAPE, ALLOW = ({name: HELP[name]} for name in ("json", "world", "shape", "allow"))
EITHER = {"world": "the world to use: net, docker or both, which is those that are up"}


def one_of(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is not among the choices. Raises: WrongUse."""
    if value not in choices:
        cause = f"it is {', '.join(choices[:-1])} or {choices[-1]}"
        raise WrongUse(f"--{option}", f"cannot be {value}", cause, "choose one of them")


def require_writable(name: str) -> None:
    """Check a file to write before any work is done. Raises: WrongUse."""
    path = Path(name)
    if name and path.is_dir():
        raise WrongUse(name, "cannot be written", "it is a folder", "name a file")
    if name and not path.parent.is_dir():
        cause, remedy = f"{path.parent} is not a folder", "name a file in an existing folder"
        raise WrongUse(name, "cannot be written", cause, remedy)


def world_of(name: str, **options: Any) -> LocalWorld:
    """Give a world; unset options keep the running world's values. Raises: WrongUse."""
    one_of("world", name, WORLDS)
    here = stack.from_environment()
    return here.net(**options) if name == "net" else here.docker(**options)


def worlds_of(name: str) -> tuple[WorldName, ...]:
    """Give the names of the chosen worlds. Raises: WrongUse."""
    one_of("world", name, (*WORLDS, "both"))
    return tuple(world for world in WORLDS if name in {world, "both"})


def shape_of(name: str) -> str | None:
    """Give the shape that a world runs in; None if it is not up."""
    here = stack.from_environment()
    return here.net_shape() if name == "net" else here.docker_shape()


def running(name: str, **options: Any) -> LocalWorld | None:
    """Give a world in the shape that it runs in; None if it is not up."""
    shape = shape_of(name)
    return world_of(name, shape=shape, **options) if shape else None


def up_among(world: str, task: str, failure: str, **options: Any) -> list[LocalWorld]:
    """Give the chosen worlds: the one that is named, or those of both that are up.

    Raises: WrongUse; Missing when neither is up.
    """
    names = worlds_of(world)
    if len(names) == 1:
        return [world_of(names[0], **options)]
    found = [there for name in names if (there := running(name, **options))]
    if not found:
        raise none_up(task, failure)
    return found


def one_host(worlds: Sequence[LocalWorld]) -> Path | None:
    """Give the netns of the host that worlds share; None: our own.

    Raises: CannotTell when they have several; a world's absence.
    """
    hosts = {namespaces_of(world)["host"] for world in worlds}
    if len(hosts) > 1:
        cause, remedy = "their hosts differ", "name one with --world"
        raise CannotTell("both worlds", "cannot be listened to at once", cause, remedy)
    return hosts.pop()


def none_up(task: str, failure: str) -> Missing:
    """Give the error of a task that finds no world up; another instance may have our names."""
    absence = world_of("net").absence()
    remedy = 'run "invoke net.up" or "invoke docker.up"'
    return absence if absence.cause else Missing(task, failure, "no world is up", remedy)


def finders(world: str = "both") -> dict[WorldName, Callable[[], LocalWorld | None]]:
    """Map each chosen world to a function that gives it if it is up. Raises: WrongUse."""
    find: dict[WorldName, Callable[[], LocalWorld | None]] = {
        "net": partial(running, "net"),
        "docker": partial(running, "docker", policy=True),
    }
    return {name: find[name] for name in worlds_of(world)}
