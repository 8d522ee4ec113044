"""The task that draws the topology as it is."""

from __future__ import annotations

import shutil

from invoke.context import Context

from front.answering import checking, end, root, show, task
from front.chosen import world_of
from twinstack.errors import Missing, TwinstackError
from twinstack.observe.picture import seeing
from twinstack.observe.picture.mermaid import mermaid
from twinstack.observe.picture.model import Scene, document
from twinstack.observe.picture.svg import picture
from twinstack.observe.picture.words import text

FORMATS = ("text", "svg", "mermaid", "json")


@task(name="topology", help={
    "world": "net, docker or both (those that are up)", "format": ", ".join(FORMATS),
    "json": "the same as --format json",
})  # fmt: skip
@checking
def topology(_: Context, world: str = "both", format: str = "text", json: bool = False) -> None:
    """Draw what is there, with what was declared beside it; exits 1 when the two differ."""
    if format not in FORMATS:
        known = ", ".join(FORMATS)
        raise TwinstackError("--format", f"cannot be {format}", f"there are {known}", "choose one")
    root("topology")
    scenes = _scenes(world)
    if json or format == "json":
        show(document(scenes))
    elif format == "svg":
        print(picture(scenes), end="")
    elif format == "mermaid":
        print(mermaid(scenes), end="")
    else:
        print(text(scenes, max(shutil.get_terminal_size().columns, 80)))
    end(1 if any(scene.wrong for scene in scenes) else 0)


def _scenes(world: str) -> list[Scene]:
    """Look at the worlds that are meant. Raises: Missing when none of them is up."""
    found = []
    for name in ("net", "docker") if world == "both" else (world,):
        try:
            scene = seeing.scene(world_of(name))
        except Missing:
            if world != "both":
                raise
            continue
        found += [scene] if scene else []
    if not found:
        which = "no world" if world == "both" else f"the {world} world"
        remedy = 'run "invoke net.up" or "invoke docker.up"' if world == "both" else (
            f'run "invoke {world}.up"')  # fmt: skip
        raise Missing("topology", "cannot be drawn", f"{which} is up" if world == "both" else
                      f"{which} is not up", remedy)  # fmt: skip
    return found
