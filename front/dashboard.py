"""The task that serves a live page of both worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from front.options import finders
from front.reporting import say, task
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.model.plan import Plan
    from twinstack.model.topology import WorldName


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


@task(
    iterable=["allow_host"],
    help={
        "port": "the port to listen on, on the loopback; 0 takes any free one",
        "allow-host": "a name besides localhost that a proxy serves the page by: HOST, or HOST:PORT"
        " for that port alone; may be repeated",
    },
)
def dashboard(_: Context, allow_host: list[str], port: int = 7700) -> None:
    """Serve a live page of both worlds on this machine only, until Ctrl-C."""
    from twinstack.observe.dashboard import hosts, server
    from twinstack.observe.live import feed

    here = stack.from_environment()
    bounds.within("port", port, 0, 65535, "it is a port")
    allowed = hosts.allowed(allow_host)
    require_root("dashboard")
    worlds = finders()
    with feed.watching(worlds) as samples:
        server.serve(samples, plans, here.repository, port, say, allowed, worlds, here.instance)
