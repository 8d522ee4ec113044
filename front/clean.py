"""The task that removes everything."""

from __future__ import annotations

from invoke.context import Context

from front.reporting import say, show_removed, task
from twinstack import stack
from twinstack.world import require_root


@task()
def clean(_: Context, json: bool = False) -> None:
    """Remove both worlds, their data, images and everything built for them, and list it."""
    current = stack.from_environment()
    say(f"instance {current.instance}")
    require_root("clean")
    show_removed(current.clean(say), json)
