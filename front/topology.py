"""The task that draws the topology as it is."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from invoke.context import Context

from front.reporting import checking, end, root, show, task
from front.worlds import world_of
from twinstack import stack
from twinstack.errors import Missing, TwinstackError

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.observe.picture.model import WorldTopology

FORMATS = ("text", "svg", "mermaid", "json")


@task(
    name="topology",
    help={
        "world": "net, docker or both (those that are up)",
        "format": ", ".join(FORMATS),
        "json": "the same as --format json",
    },
)
@checking
def topology(_: Context, world: str = "both", format: str = "text", json: bool = False) -> None:
    """Draw what is there, with what was declared beside it; exits 1 when the two differ."""
    from twinstack.observe.picture.mermaid import mermaid
    from twinstack.observe.picture.model import document
    from twinstack.observe.picture.svg import picture
    from twinstack.observe.picture.text import text

    if format not in FORMATS:
        known = ", ".join(FORMATS)
        raise TwinstackError("--format", f"cannot be {format}", f"there are {known}", "choose one")
    root("topology")
    topologies = _topologies(world)
    if json or format == "json":
        show(document(topologies))
    elif format == "svg":
        print(picture(topologies), end="")
    elif format == "mermaid":
        print(mermaid(topologies), end="")
    else:
        print(text(topologies, max(shutil.get_terminal_size().columns, 80)))
    end(1 if any(one.wrong for one in topologies) else 0)


def _topologies(world: str) -> list[WorldTopology]:
    """Observe the chosen worlds. Raises: Missing when none of them is up."""
    names = ("net", "docker") if world == "both" else (world,)
    found = [one for name in names if (one := _topology(name, alone=len(names) == 1))]
    if not found:
        which = "no world is" if world == "both" else f"the {world} world is not"
        ups = " or ".join(f'"invoke {name}.up"' for name in names)
        raise Missing("topology", "cannot be drawn", f"{which} up", f"run {ups}")
    return found


def _topology(name: str, *, alone: bool) -> WorldTopology | None:
    """Observe a world; None when it is not up.

    Raises: Missing when it cannot be observed although it is up, or is the only one chosen.
    """
    from twinstack.observe.picture import collect

    world = world_of(name, "net, docker or both")
    try:
        return collect.topology(world)
    except Missing:
        here = stack.from_environment()
        shape = here.net_shape() if name == "net" else here.docker_shape()
        if alone or shape is not None:
            raise
        return None
