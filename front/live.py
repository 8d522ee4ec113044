"""The tasks that watch worlds while they run: in the terminal, and as a page."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from invoke.context import Context

from front.answering import JSON, answer, checking, end, guarded, root, say, task
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.live.watcher import Give

#: Two samples give rates; the first look takes a while on a busy machine.
_FIRST_LOOK_S = 15.0
BOTH: tuple[WorldName, ...] = ("net", "docker")


def givers(here: stack.Stack, world: str = "both") -> Mapping[WorldName, Give]:
    """Give what gives each world that is meant, as it runs, or None. Raises: TwinstackError."""
    if world not in {"both", *BOTH}:
        raise TwinstackError(
            "--world", f"cannot be {world}", "it is net, docker or both", "choose one"
        )
    found: dict[WorldName, Give] = {}
    if world in {"both", "net"}:
        found["net"] = lambda: here.net(shape) if (shape := here.net_shape()) else None
    if world in {"both", "docker"}:
        found["docker"] = lambda: (
            here.docker(shape, policy=True) if (shape := here.docker_shape()) else None
        )
    return found


def plans(here: stack.Stack) -> dict[WorldName, Plan | None]:
    """Give the plan of each world that is up, as it runs now; None of one that is not."""
    found: dict[WorldName, Plan | None] = {}
    for name, give in givers(here).items():
        try:
            world = give()
        except (TwinstackError, OSError):  # the page says of each world what its watcher says
            world = None
        found[name] = world.plan if world else None
    return found


@task(help={"world": "net, docker or both", "once": "look once and end", **JSON})
@checking
def health(_: Context, world: str = "both", once: bool = False, json: bool = False) -> None:
    """Show how all does, live; exits 1: something is down, 2: nothing is up, or cannot be told."""
    from twinstack.observe.live import feed, table, text

    chosen = givers(stack.from_environment(), world)
    root("health")
    live = sys.stdout.isatty() and not (once or json)
    with feed.watching(chosen) as found:
        if live:
            table.show(found)
        latest = found.latest() if live else found.whole(_FIRST_LOOK_S, samples=2)
    documents = [latest[name].document if name in latest else _silent(name) for name in chosen]
    if not live:
        width = max(shutil.get_terminal_size().columns, 80)
        answer(json, {"worlds": documents}, table.text(documents, width))
    end(text.exit_code(documents))


def _silent(name: WorldName) -> dict[str, Any]:
    """Make the document of a world that was not told of: who cannot tell is not well."""
    from twinstack.observe.live.documents import WorldSample

    trouble = "its watcher has said nothing yet"
    return asdict(WorldSample(name, time.time(), False, trouble=trouble))


@task(help={"port": "of the loopback to listen on; 0 takes any that is free"})
@guarded
def dashboard(_: Context, port: int = 7700) -> None:
    """Serve a page that shows both worlds live, on this machine alone; Ctrl-C ends it."""
    from twinstack.observe.board import server
    from twinstack.observe.live import feed

    here = stack.from_environment()
    bounds.within("port", port, 0, 65535, "it is a port")
    root("dashboard")
    with feed.watching(givers(here)) as found:
        server.serve(found, lambda: plans(here), here.repository, port, say)
