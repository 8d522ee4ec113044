"""The tasks that watch worlds while they run: in the terminal, and as a page."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from front.reporting import JSON, answer, checking, end, guarded, root, say, task
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.model.plan import Plan
    from twinstack.model.topology import WorldName
    from twinstack.world import LocalWorld

#: Two samples give rates; on a busy machine the first takes a while.
_FIRST_SAMPLES_S = 15.0
BOTH = ("net", "docker")


def finders(
    here: stack.Stack, world: str = "both"
) -> Mapping[WorldName, Callable[[], LocalWorld | None]]:
    """Map each chosen world to what gives it as it runs now, or None. Raises: TwinstackError."""
    if world not in {"both", *BOTH}:
        cause = "it is net, docker or both"
        raise TwinstackError("--world", f"cannot be {world}", cause, "choose one")

    def net() -> LocalWorld | None:
        return here.net(shape) if (shape := here.net_shape()) else None

    def docker() -> LocalWorld | None:
        return here.docker(shape, policy=True) if (shape := here.docker_shape()) else None

    both: dict[WorldName, Callable[[], LocalWorld | None]] = {"net": net, "docker": docker}
    return {name: find for name, find in both.items() if world in {"both", name}}


def plans(here: stack.Stack) -> dict[WorldName, Plan | None]:
    """Give the plan of each world that is up, as it runs now; None for one that is not."""
    found: dict[WorldName, Plan | None] = {}
    for name, find in finders(here).items():
        try:
            world = find()
        except (TwinstackError, OSError):  # its watcher reports the cause on the page
            world = None
        found[name] = world.plan if world else None
    return found


@task(help={"world": "net, docker or both", "once": "print two samples' figures and end", **JSON})
@checking
def health(_: Context, world: str = "both", once: bool = False, json: bool = False) -> None:
    """Show each replica's health, live; exits 1: one is down, 2: none is up, or a world unknown."""
    from twinstack.observe.live import feed, table

    chosen = finders(stack.from_environment(), world)
    root("health")
    live = sys.stdout.isatty() and not (once or json)
    with feed.watching(chosen) as samples:
        if live:
            table.show(samples)
            latest = samples.latest()
        else:
            latest = samples.wait_for_all(_FIRST_SAMPLES_S, samples=2)
    documents = [latest[name].document if name in latest else _unknown(name) for name in chosen]
    if not live:
        width = max(shutil.get_terminal_size().columns, 80)
        answer(json, {"worlds": documents}, table.text(documents, width))
    end(table.exit_code(documents))


def _unknown(name: WorldName) -> dict[str, Any]:
    """Make the document of a world whose watcher has sent nothing: unknown is not healthy."""
    from twinstack.observe.live.model import WorldSample

    trouble = "its watcher has sent nothing yet"
    return asdict(WorldSample(name, time.time(), False, trouble=trouble))


@task(help={"port": "of the loopback to listen on; 0 takes any free one"})
@guarded
def dashboard(_: Context, port: int = 7700) -> None:
    """Serve a page that shows both worlds live, on this machine alone; Ctrl-C ends it."""
    from twinstack.observe.dashboard import server
    from twinstack.observe.live import feed

    here = stack.from_environment()
    bounds.within("port", port, 0, 65535, "it is a port")
    root("dashboard")
    with feed.watching(finders(here)) as samples:
        server.serve(samples, lambda: plans(here), here.repository, port, say)
