"""The task that looks at connections."""

from __future__ import annotations

import shutil
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from invoke.context import Context

from bench import bounds
from front.answering import JSON, answer, checking, root, task
from front.chosen import WORLD, world_of
from twinstack.errors import TwinstackError

if TYPE_CHECKING:
    from twinstack.observe.connections.report import Connections


@task(name="conntrack", help={
    **WORLD, "once": "look once, and listen to no events",
    "seconds": "how long to look; without it, until Ctrl-C", **JSON,
})  # fmt: skip
@checking
def conntrack(
    _: Context, world: str = "net", once: bool = False, seconds: int = 0, json: bool = False
) -> None:
    """Show connections by service and state, NAT, the table's size, sockets; live on a terminal."""
    from twinstack.observe.connections import watching

    chosen = world_of(world)
    if once and seconds:
        raise TwinstackError("--once", "cannot go with --seconds", "it takes no time", "choose one")
    if seconds:
        bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    root("conntrack")
    live = sys.stdout.isatty() and not json
    if once or not (seconds or live):
        found = watching.once(chosen)
    else:
        found = _followed(watching.watch(chosen, seconds or None), live)
    answer(json, asdict(found), _text(found))


def _followed(looks: Iterator[Connections], live: bool) -> Connections:
    """Show each look in place of the one before; give the last."""
    if not live:
        return deque(looks, maxlen=1)[0]
    from rich.live import Live  # others need not wait for it
    from rich.text import Text

    found = next(looks)
    with Live(Text(_text(found)), auto_refresh=False, transient=True) as shown:
        for found in looks:
            shown.update(Text(_text(found)), refresh=True)
    return found


def _text(found: Connections) -> str:
    from twinstack.observe.connections.words import text

    return text(found, max(shutil.get_terminal_size().columns, 80))
