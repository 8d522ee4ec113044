"""The task that draws the topology as observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from front.options import EITHER, none_up, one_of, shape_of, world_of, worlds_of
from front.reporting import answer, end, task, width
from twinstack.errors import NOT_SO, Missing
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.observe.picture.model import WorldTopology

FORMATS = ("text", "svg", "mermaid", "json")


@task(
    help={
        **EITHER,
        "format": "the format to print: text, svg, mermaid or json",
        "json": "print the same as --format json",
    }
)
def topology(_: Context, world: str = "both", format: str = "text", json: bool = False) -> None:
    """Draw what is observed beside what is declared; exits 1 if the two differ."""
    from twinstack.observe.picture.mermaid import mermaid
    from twinstack.observe.picture.model import Topologies
    from twinstack.observe.picture.svg import picture
    from twinstack.observe.picture.text import text

    one_of("format", format, FORMATS)
    require_root("topology")
    topologies = _topologies(world)
    code = NOT_SO if any(observed.wrong for observed in topologies) else 0
    if json or format in {"json", "text"}:
        document = Topologies(tuple(topologies))
        answer(json or format == "json", document, text(topologies, width()), code)
    elif format == "svg":
        print(picture(topologies), end="")
    else:
        print(mermaid(topologies), end="")
    end(code)


def _topologies(world: str) -> list[WorldTopology]:
    """Observe the chosen worlds.

    Raises: Missing when none of them is up, or when one cannot be observed although it is up, or is
    the only one chosen.
    """
    from twinstack.observe.picture import collect

    names = worlds_of(world)
    topologies = []
    for name in names:
        try:
            topologies.append(collect.topology(world_of(name)))
        except Missing:
            if len(names) == 1 or shape_of(name) is not None:
                raise
    if not topologies:
        raise none_up("topology", "cannot be drawn")
    return topologies
