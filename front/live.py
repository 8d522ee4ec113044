"""The tasks that watch running worlds: health, connections, and the dashboard's page."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from front.options import EITHER, JSON, WORLD, world_of, worlds_of
from front.reporting import answer, checking, end, say, task, width
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.model.plan import Plan
    from twinstack.model.topology import WorldName
    from twinstack.observe.connections.report import Connections
    from twinstack.world import LocalWorld

#: Two samples give rates; on a busy machine the first takes a while.
_FIRST_SAMPLES_S = 15.0


def finders(world: str = "both") -> dict[WorldName, Callable[[], LocalWorld | None]]:
    """Map each chosen world to a function that gives it if it is up. Raises: TwinstackError."""
    here = stack.from_environment()
    find: dict[WorldName, Callable[[], LocalWorld | None]] = {
        "net": lambda: here.net(shape) if (shape := here.net_shape()) else None,
        "docker": lambda: (
            here.docker(shape, policy=True) if (shape := here.docker_shape()) else None
        ),
    }
    return {name: find[name] for name in worlds_of(world)}


def plans() -> dict[WorldName, Plan | None]:
    """Give the plan of each world that is up; None for one that is not."""
    running: dict[WorldName, Plan | None] = {}
    for name, find in finders().items():
        try:
            world = find()
        except (TwinstackError, OSError):  # its watcher reports the cause on the page
            world = None
        running[name] = world.plan if world else None
    return running


@checking(help={**EITHER, "once": "print the result once and exit", **JSON})
def health(_: Context, world: str = "both", once: bool = False, json: bool = False) -> None:
    """Show each replica's health live; exits 1 if one is down, 2 if none is up or one unknown."""
    from twinstack.observe.live import feed, table

    chosen = finders(world)
    require_root("health")
    live = sys.stdout.isatty() and not (once or json)
    with feed.watching(chosen) as samples:
        if live:
            table.show(samples)
            latest = samples.latest()
        else:
            latest = samples.wait_for_all(_FIRST_SAMPLES_S, samples=2)
    documents = [latest[name].document if name in latest else _unknown(name) for name in chosen]
    if not live:
        answer(json, {"worlds": documents}, table.text(documents, width()))
    end(table.exit_code(documents))


def _unknown(name: WorldName) -> dict[str, Any]:
    """Make the document of a world without a sample yet: unknown is not healthy."""
    from twinstack.observe.live.model import WorldSample

    trouble = "its watcher has sent nothing yet"
    return asdict(WorldSample(name, time.time(), False, trouble=trouble))


@task(help={"port": "the port to listen on, on the loopback; 0 takes any free one"})
def dashboard(_: Context, port: int = 7700) -> None:
    """Serve a live page of both worlds on this machine only, until Ctrl-C."""
    from twinstack.observe.dashboard import server
    from twinstack.observe.live import feed

    here = stack.from_environment()
    bounds.within("port", port, 0, 65535, "it is a port")
    require_root("dashboard")
    with feed.watching(finders()) as samples:
        server.serve(samples, plans, here.repository, port, say)


@checking(
    help={
        **WORLD,
        "once": "print one snapshot and exit",
        "seconds": "how long to follow; 0: until Ctrl-C",
        **JSON,
    },
)
def conntrack(
    _: Context, world: str = "net", once: bool = False, seconds: int = 0, json: bool = False
) -> None:
    """Show connections by service and state, NAT, table size and sockets; live on a terminal."""
    from twinstack.observe.connections import report, snapshot

    chosen = world_of(world)
    if once and seconds:
        raise TwinstackError("--once", "cannot go with --seconds", "it takes no time", "choose one")
    if seconds:
        bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    require_root("conntrack")
    live = sys.stdout.isatty() and not json
    if once or not (seconds or live):
        latest = snapshot.take(chosen)
    else:
        following = snapshot.follow(chosen, seconds or None)
        # Its first snapshot comes after two seconds of events: a terminal shows one at once.
        latest = _shown(chain((snapshot.take(chosen),), following) if live else following, live)
    answer(json, report.document(latest), _connections_text(latest))


def _shown(snapshots: Iterator[Connections], live: bool) -> Connections:
    """Show each snapshot in place of the one before; return the last, also after Ctrl-C."""
    latest: Connections | None = None
    with _screen() if live else nullcontext(lambda _: None) as show:
        try:
            for latest in snapshots:
                show(latest)
        except KeyboardInterrupt:  # the usual end of a live view
            if latest is None:
                raise
    assert latest is not None, "following takes at least one snapshot"
    return latest


@contextmanager
def _screen() -> Iterator[Callable[[Connections], None]]:
    from rich.live import Live  # slow to import
    from rich.text import Text

    with Live(auto_refresh=False, transient=True) as screen:

        def show(snapshot: Connections) -> None:
            lines = fitting(_connections_text(snapshot), screen.console.height)
            screen.update(Text(lines), refresh=True)

        try:
            yield show
        finally:
            # Live draws once more before it wipes, and cannot wipe what scrolled off.
            screen.update(Text(""), refresh=True)


def fitting(text: str, height: int) -> str:
    """Cut a text to the lines of a terminal, and say how many are missing. Pure."""
    lines = text.splitlines()
    if len(lines) < height:
        return text
    kept = max(height - 2, 1)
    more = f"… {len(lines) - kept} lines more: a taller terminal shows them, --once writes them all"
    return "\n".join([*lines[:kept], more])


def _connections_text(snapshot: Connections) -> str:
    from twinstack.observe.connections.text import text

    return text(snapshot, width())
