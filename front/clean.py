"""The task that removes everything."""

from __future__ import annotations

from invoke.context import Context

from front import documents
from front.reporting import answer, say, show_removed, task
from twinstack import stack
from twinstack.world import require_root


@task(
    help={
        "dry-run": "list what would be removed, and change nothing",
        "keep-data": "keep orders, carts, the registry's table, and the secrets that go with them,"
        " of the namespace and Docker worlds; an overlay's and a Swarm's go with their hosts",
    }
)
def clean(_: Context, dry_run: bool = False, keep_data: bool = False, json: bool = False) -> None:
    """Remove both worlds, their data, images and everything built for them, and list it."""
    current = stack.from_environment()
    say(f"instance {current.instance}")
    require_root("clean")
    if not dry_run:
        show_removed(current.clean(say, keep_stores=keep_data), json)
        return
    names = current.removable(keep_stores=keep_data)
    text = "\n".join(f"would remove {name}" for name in names) or "Nothing of ours is here."
    answer(json, documents.Removable(names), text)
