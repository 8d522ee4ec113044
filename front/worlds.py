"""The world that --world names, with the options it runs with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twinstack import stack
from twinstack.errors import TwinstackError

if TYPE_CHECKING:
    from twinstack.world import LocalWorld

WORLD = {"world": "net or docker"}


def world_of(name: str, known: str = "net or docker") -> LocalWorld:
    """Give the world. Raises: TwinstackError for a name that is not among `known`."""
    here = stack.from_environment()
    if name == "net":
        return here.net()
    if name == "docker":
        return here.docker()
    raise TwinstackError(
        "--world", f"cannot be {name}", f"a world is {known}", "choose one of them"
    )
