"""The task that shows the health of running worlds."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from front.options import EITHER, finders
from front.reporting import end, show, task, width
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.model.topology import WorldName

#: Two samples give rates; on a busy machine the first takes a while.
_FIRST_SAMPLES_S = 15.0


@task(help={**EITHER, "once": "print the result once and exit"})
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
    code = table.exit_code(documents)
    if not live:
        show(json, {"worlds": documents}, table.text(documents, width()), code)
    end(code)


def _unknown(name: WorldName) -> dict[str, Any]:
    """Make the document of a world without a sample yet: unknown is not healthy."""
    from twinstack.observe.live.model import WorldSample

    trouble = "its watcher has sent nothing yet"
    return asdict(WorldSample(name, time.time(), False, trouble=trouble))
