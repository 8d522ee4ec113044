"""The task that looks at connections."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

from invoke.context import Context

from front.answering import JSON, answer, checking, root, task
from front.worlds import WORLD, world_of
from twinstack.errors import TwinstackError
from twinstack.model import bounds

if TYPE_CHECKING:
    from twinstack.observe.connections.report import Connections


@task(
    name="conntrack",
    help={
        **WORLD,
        "once": "look once, and listen to no events",
        "seconds": "how long to look; without it, until Ctrl-C",
        **JSON,
    },
)
@checking
def conntrack(
    _: Context, world: str = "net", once: bool = False, seconds: int = 0, json: bool = False
) -> None:
    """Show connections by service and state, NAT, the table's size, sockets; live on a terminal."""
    from twinstack.observe.connections import watch

    chosen = world_of(world)
    if once and seconds:
        raise TwinstackError("--once", "cannot go with --seconds", "it takes no time", "choose one")
    if seconds:
        bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    root("conntrack")
    live = sys.stdout.isatty() and not json
    if once or not (seconds or live):
        found = watch.once(chosen)
    else:
        looks = watch.watch(chosen, seconds or None)
        # Its first look comes when there are events of two seconds to tell.
        found = _followed(chain((watch.once(chosen),), looks) if live else looks, live)
    answer(json, asdict(found), _text(found))


def _followed(looks: Iterator[Connections], live: bool) -> Connections:
    """Show each look in place of the one before; give the last, also after Ctrl-C."""
    found: Connections | None = None
    with _screen() if live else nullcontext(lambda _found: None) as show:
        try:
            for found in looks:
                show(found)
        except KeyboardInterrupt:  # which is how a live view is meant to end
            if found is None:
                raise
    assert found is not None, "a watch looks at least once"
    return found


@contextmanager
def _screen() -> Iterator[Callable[[Connections], None]]:
    from rich.live import Live  # others need not wait for it
    from rich.text import Text

    with Live(auto_refresh=False, transient=True) as shown:
        try:
            yield lambda found: shown.update(
                Text(fitting(_text(found), shown.console.height)), refresh=True
            )
        finally:
            # Live draws the whole once more before it wipes it, and cannot wipe what scrolled off.
            shown.update(Text(""), refresh=True)


def fitting(text: str, height: int) -> str:
    """Cut a text to the lines of a terminal, and say how much there is; pure."""
    lines = text.splitlines()
    if len(lines) < height:
        return text
    kept = max(height - 2, 1)
    more = f"… {len(lines) - kept} lines more: a taller terminal shows them, --once writes them all"
    return "\n".join([*lines[:kept], more])


def _text(found: Connections) -> str:
    from twinstack.observe.connections.text import text

    return text(found, max(shutil.get_terminal_size().columns, 80))
