"""The task that breaks a host of a running overlay for a while."""

from __future__ import annotations

from dataclasses import asdict

from invoke.context import Context

from front.answering import JSON, answer, checking, end, root, say, task
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.model.bounds import UP_TIMEOUT_S

#: Longer than this is no rehearsal.
MOST_SECONDS = 600


@task(
    help={
        "what": "host-loss, partition or mtu (the underlay swallows larger packets)",
        "host": "which host; the last one, if not said",
        "seconds": "how long it stays broken",
        "move": "bring up elsewhere meanwhile what was on it",
        **JSON,
    }
)
@checking
def chaos(
    _: Context,
    what: str = "host-loss",
    host: str = "",
    seconds: int = 10,
    move: bool = False,
    json: bool = False,
) -> None:
    """Break a host of the overlay for a while, watch from another one, and put it back."""
    from twinstack.overlay import chaos as breaking

    bounds.within("seconds", seconds, 1, MOST_SECONDS, "it is a time, more than 0")
    fault = next((one for one in breaking.FAULTS if one == what), None)
    if fault is None:
        raise TwinstackError(
            "--what", f"cannot be {what}", f"there are {', '.join(breaking.FAULTS)}", "choose one"
        )
    root("chaos")
    here = stack.from_environment()
    world = here.overlay(lost=frozenset())
    story = breaking.cause(
        world,
        fault,
        host or world.spread.hosts[-1].name,
        seconds=seconds,
        move=move,
        timeout_s=UP_TIMEOUT_S,
        progress=say,
        elsewhere=lambda lost: here.overlay(lost=lost),
    )
    document = asdict(story) | {"recovered": story.recovered}
    answer(json, document, breaking.text(story))
    end(0 if story.recovered else 1)
