"""What all commands on a drill share: one at a time, the one that is under way, its symptom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from twinstack.drill.choose import find
from twinstack.drill.drill import Drill
from twinstack.drill.ground import AnyWorld, site_of
from twinstack.drill.shell import Shell
from twinstack.errors import Missing, TwinstackError, WrongUse
from twinstack.faults import drill_record as record
from twinstack.faults.drill_record import Underway
from twinstack.linux.waiting import until
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import require_root

#: How often a symptom is looked for. Units: seconds.
POLL_S = 0.3


@contextmanager
def drilling(instance: str) -> Iterator[None]:
    """Let one command at a time act on the drill of an instance. Raises: Locked; Missing."""
    require_root("drill")
    paths = InstancePaths(instance)
    with locked(paths, "drill"):
        try:
            yield
        finally:
            remove_run(paths, "drill")


def underway_of(instance: str) -> Underway:
    """Give the drill that is under way. Raises: Missing; CannotTell."""
    underway = record.read(instance)
    if underway is None:
        remedy = 'run "invoke drill.start"'
        raise Missing("drill", "has nothing to act on", "no drill is under way", remedy)
    return underway


def put_of(instance: str) -> Underway:
    """Give the drill that was put. Raises: as `underway_of`; TwinstackError: its start was killed.

    So it is when its `stop` was.
    """
    underway = underway_of(instance)
    if underway.phase != "there":
        cause = f"the command that was {underway.phase} it was killed"
        raise TwinstackError("drill", "is not there as a whole", cause, "run drill.stop")
    return underway


def drill_of(underway: Underway) -> Drill:
    """Give the drill that a record names. Raises: TwinstackError for one of another version."""
    try:
        return find(underway.drill)
    except WrongUse as error:
        world = underway.world
        remedy = f'run "invoke {world}.down", then "invoke {world}.up"'
        cause = "another version of the software has put it"
        raise TwinstackError(error.obj, error.failure, cause, remedy) from error


def all_hold(shell: Shell, probes: Sequence[str], tries: int) -> bool:
    """Tell whether every probe exits 0, each as often as it is tried."""
    return all(shell.holds(probe) for probe in probes for _ in range(tries))


def _is_sound(world: AnyWorld, drill: Drill, target: str) -> bool:
    """Tell whether every probe of a drill holds now."""
    site = site_of(world, target)
    try:
        probes = tuple(map(site.written, drill.probes))
    except (TwinstackError, KeyError):  # what they name is not there
        return False
    return all_hold(Shell.of(world), probes, drill.tries)


def sound_within(world: AnyWorld, drill: Drill, target: str, within_s: float) -> bool:
    """Wait until every probe of a drill holds; give whether it came to that. Units: seconds."""
    return until(lambda: _is_sound(world, drill, target), within_s, POLL_S)
