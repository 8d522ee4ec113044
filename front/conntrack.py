"""The task that shows a world's connections."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING

from invoke.context import Context

from front.options import EITHER, up_among, worlds_of
from front.reporting import answer, task, width
from twinstack.errors import WrongUse
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.observe.connections.report import Connections

    Snapshots = tuple[Connections, ...]


@task(
    help={
        **EITHER,
        "once": "print one snapshot and exit",
        "seconds": "how long to follow; 0: until Ctrl-C",
    }
)
def conntrack(
    _: Context, world: str = "both", once: bool = False, seconds: int = 0, json: bool = False
) -> None:
    """Show connections by service and state, NAT, table size and sockets; live on a terminal."""
    from twinstack.observe.connections import snapshot
    from twinstack.observe.connections.report import ConnectionSnapshots

    worlds_of(world)
    if once and seconds:
        raise WrongUse("--once", "cannot go with --seconds", "it takes no time", "choose one")
    if seconds:
        bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    require_root("conntrack")
    worlds = up_among(world, "conntrack", "has nothing to show")
    live = sys.stdout.isatty() and not json
    if once or not (seconds or live):
        latest = tuple(map(snapshot.take, worlds))
    else:
        following = snapshot.follow(worlds, seconds or None)
        # Its first snapshot comes after two seconds of events: a terminal shows one at once.
        first = (tuple(map(snapshot.take, worlds)),) if live else ()
        latest = _shown(chain(first, following), live)
    answer(json, ConnectionSnapshots(latest), _connections_text(latest))


def _shown(snapshots: Iterator[Snapshots], live: bool) -> Snapshots:
    """Show each snapshot in place of the one before; return the last, also after Ctrl-C."""
    latest: Snapshots | None = None
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
def _screen() -> Iterator[Callable[[Snapshots], None]]:
    from rich.live import Live  # slow to import
    from rich.text import Text

    with Live(auto_refresh=False, transient=True) as screen:

        def show(snapshot: Snapshots) -> None:
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


def _connections_text(snapshots: Snapshots) -> str:
    from twinstack.observe.connections.text import text

    return "\n\n".join(text(snapshot, width()) for snapshot in snapshots)
