"""The task that walks through the running stack, a screen at a time."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from front.options import none_up, running
from front.reporting import answer, say, task
from twinstack import stack
from twinstack.errors import NOT_SO, Locked, TwinstackError, WrongUse
from twinstack.model import bounds
from twinstack.printable import visible_lines
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no world
    from twinstack.drill.site import Site
    from twinstack.stack import Stack
    from twinstack.tour.report import ShownScreen
    from twinstack.tour.screens import Screen
    from twinstack.world import LocalWorld

#: Where there is no terminal, a screen is as large as the smallest usual one.
_USUAL = (80, 24)
_NEXT = "Enter: go on; q: end > "
_BRING_UP = "The namespace world is not up: bring it up, and take it down at the end? [Y/n] "


@task(
    help={
        "yes": "ask nothing: bring the world up if it is not, and go on by itself",
        "screens": "only these, for example veth,deny; --json has the names of all",
        "json": "run unattended, and print every command with its output as one JSON document",
    }
)
def tour(_: Context, yes: bool = False, screens: str = "", json: bool = False) -> None:
    """Walk through the running stack in ten minutes: real commands, run and explained."""
    from twinstack.faults.hold import terminable
    from twinstack.tour.report import TourReport, text
    from twinstack.tour.screens import chosen

    listed = chosen(screens)
    require_root("tour")
    asking = not (yes or json)
    if asking and not sys.stdin.isatty():
        cause, remedy = "standard input is no terminal", "add --yes"
        raise WrongUse("tour", "cannot ask", cause, remedy)
    began, shown, left_out = time.monotonic(), [], []
    with terminable(), _world_up(asking) as (net, brought_up):
        worlds = {"net": net, "docker": running("docker")}
        here = [(screen, there) for screen in listed if (there := worlds[screen.world])]
        left_out = [screen.name for screen in listed if not worlds[screen.world]]
        for number, (screen, world) in enumerate(here, 1):
            shown.append(_show(screen, world, (number, len(here)), silent=json))
            if asking and number < len(here) and not _goes_on(_NEXT):
                break
    seconds = round(time.monotonic() - began, 1)
    report = TourReport(tuple(shown), tuple(left_out), brought_up, seconds)
    answer(json, report, text(report), NOT_SO if report.unexpected else 0)


@contextmanager
def _world_up(asking: bool) -> Iterator[tuple[LocalWorld, bool]]:
    """Give the namespace world, brought up for the block if it is not, and whether that was so.

    Raises: Missing where the user does not want it up; TwinstackError where it is not whole.
    """
    from twinstack.faults import drill_record

    here = stack.from_environment()
    if here.net_shape():
        drill_record.refuse(here.instance, "net", "tour")
        world = here.net()
        cause = "" if world.plan.policy else "the namespace world is up without policies"
        if any(each.state != "healthy" for each in world.status()):
            cause = "the namespace world is not whole (invoke net.status)"
        if cause:
            raise TwinstackError("tour", "cannot start", cause, 'run "invoke net.up"')
        yield world, False
        return
    if asking and not _goes_on(_BRING_UP):
        raise none_up("tour", "has nothing to show")
    world = here.net(bare=False, policy=True)
    with ExitStack() as end:
        end.callback(_take_down, here)
        try:
            world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=say)
        except Locked:  # by another command, which brings up what is there
            end.pop_all()
            raise
        yield world, True


def _take_down(here: Stack) -> None:
    """Take the namespace world down, where `up` has left one."""
    from twinstack.namespaces.world import down

    if here.net_shape():
        with suppress(OSError):  # a terminal that is gone shows nothing
            say("taking down what the tour brought up")
        down(here.instance, progress=say)


def _goes_on(question: str) -> bool:
    """Ask, and tell whether the answer is to go on; the end of the input is to end."""
    try:
        return input(question).strip().lower() not in {"q", "quit", "n", "no"}
    except EOFError:
        return False


def _show(
    screen: Screen, world: LocalWorld, place: tuple[int, int], *, silent: bool
) -> ShownScreen:
    """Show a screen and run its commands; `place` is its number, and how many there are."""
    from twinstack.drill.site import Site
    from twinstack.tour import page
    from twinstack.tour.report import ShownScreen
    from twinstack.tour.run import run

    show = (lambda line: None) if silent else _print
    columns, rows = shutil.get_terminal_size(_USUAL)
    site = Site(world)
    text, *commands = _written(site, screen.name, (screen.text, *screen.commands))
    head = page.head(*place, screen.title, text, columns)
    for line in head:
        show(line)
    typed = [page.typed(command) for command in commands]
    room = page.room([*head, *(line for lines in typed for line in lines)], columns, rows)
    ran = []
    for number, (command, lines) in enumerate(zip(commands, typed, strict=True), 1):
        for line in lines:
            show(line)
        done = run(
            command,
            screen.exit_code if number == len(commands) else 0,
            environment=_environment(columns),
            directory=stack.REPOSITORY,
            show=lambda line: show(line) if room.takes(line) else None,
        )
        for line in room.rest():
            show(line)
        ran.append(done)
    return ShownScreen(screen.name, screen.title, screen.world, tuple(ran))


def _written(site: Site, name: str, texts: Sequence[str]) -> list[str]:
    """Put the running world's names into texts. Raises: TwinstackError where it lacks one."""
    try:
        return [site.written(text) for text in texts]
    except (KeyError, StopIteration) as error:
        cause = f"the {site.world.name} world has no running {error or 'replica of it'}"
        raise TwinstackError(f"screen {name}", "cannot be shown", cause) from error


def _environment(columns: int) -> dict[str, str]:
    """Give what commands get: `invoke` is this one, and no wider than the terminal."""
    beside = Path(sys.executable).parent
    path = f"{beside}:{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "COLUMNS": str(columns)}


def _print(line: str) -> None:
    print(visible_lines(line), flush=True)
