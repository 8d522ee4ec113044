"""The options that several tasks share: their help, their checks, and the worlds that they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twinstack import stack
from twinstack.errors import TwinstackError

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.model.topology import WorldName
    from twinstack.world import LocalWorld

WORLDS: tuple[WorldName, ...] = ("net", "docker")

JSON = {"json": "print the result as one JSON document"}
WORLD = {"world": "the world to use: net or docker"}
EITHER = {"world": "the world to use: net, docker or both"}
SHAPE = {
    "shape": "flat (one bridge) or tiered (three bridges, routed by the host); unset: the running"
    " world's, else flat"
}
TIMEOUT = {"timeout": "seconds to wait until every service is healthy"}
LIMITS = {"limits": "--no-limits removes the CPU, memory and PID limits"}
SERVICES = {"services": "--no-services sets up the network but starts no service"}
POLICY = {"policy": "--no-policy allows all traffic between services"}
FORCE = {"force": "measure even if the worlds are not comparable"}
SERVICE = {"service": "the service or replica, for example product-service-2"}
HOST = {"host": "the host to run the command on, for example host-2"}
LOGS = {**SERVICE, "lines": "how many of the last lines to show"}


def one_of(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is not among the choices. Raises: TwinstackError."""
    if value not in choices:
        cause = f"it is {', '.join(choices[:-1])} or {choices[-1]}"
        raise TwinstackError(f"--{option}", f"cannot be {value}", cause, "choose one of them")


def world_of(name: str, **options: Any) -> LocalWorld:
    """Give a world; unset options keep the running world's values. Raises: TwinstackError."""
    one_of("world", name, WORLDS)
    here = stack.from_environment()
    return here.net(**options) if name == "net" else here.docker(**options)


def worlds_of(name: str) -> tuple[WorldName, ...]:
    """Give the names of the chosen worlds. Raises: TwinstackError."""
    one_of("world", name, (*WORLDS, "both"))
    return tuple(world for world in WORLDS if name in {world, "both"})


def shape_of(name: str) -> str | None:
    """Give the shape that a world runs in; None if it is not up."""
    here = stack.from_environment()
    return here.net_shape() if name == "net" else here.docker_shape()
