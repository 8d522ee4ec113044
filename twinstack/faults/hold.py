"""Put faults into a running world and take them away, under its lock.

While it is held no other command changes the world. Everything is taken away when the block ends,
also by Ctrl-C or SIGTERM; after SIGKILL the record is left, for the next `up` or `down`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from twinstack.errors import TwinstackError, raise_all
from twinstack.faults import drill_record, record
from twinstack.faults.catalogue import find
from twinstack.faults.record import PlacedFault
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths
from twinstack.world import LocalWorld, require_root

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class FaultHold:
    """The faults of one world while its lock is held; several threads may use it.

    A thread that puts `delay` must stay until that is taken away: its reader ends with it.
    """

    world: LocalWorld
    _placed: dict[int, PlacedFault] = field(default_factory=dict)
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, fault: str, target: str) -> int:
        """Put a fault to a target and give its number. Raises: TwinstackError; nothing is left."""
        made = tuple(find(fault).effects(self.world, target))
        placed = PlacedFault(fault, target, made)  # type: ignore[arg-type]  # each is one of AnyEffect
        with self._lock:
            if any(str(placed) == str(other) for other in self._placed.values()):
                raise TwinstackError(str(placed), "is there already", "", "take it away first")
            self._numbers += 1
            number = self._numbers
            self._placed[number] = placed
            self._write()  # before the act
        try:
            for effect in made:
                effect.begin(self.world)
        except BaseException:
            self.take_away(number)
            raise
        return number

    def take_away(self, number: int) -> None:
        """Take a fault away; one that is gone is no error. Raises: SeveralFailed, StepFailed."""
        with self._lock:
            placed = self._placed.get(number)
        if placed is None:
            return
        failures: list[Exception] = []
        for effect in reversed(placed.effects):
            try:
                effect.end(self.world)
            except (TwinstackError, OSError) as error:
                failures.append(error)
        raise_all(str(placed), failures)  # it stays recorded
        with self._lock:
            del self._placed[number]
            self._write()

    def take_all_away(self) -> None:
        """Take every fault away, the last first, past failures. Raises: as `take_away`."""
        failures: list[Exception] = []
        for number in sorted(self._placed, reverse=True):
            try:
                self.take_away(number)
            except (TwinstackError, OSError) as error:
                failures.append(error)
        raise_all("faults", failures)

    def _write(self) -> None:
        record.write(self.world.plan.instance, self.world.name, self._placed)


@contextmanager
def holding(world: LocalWorld) -> Iterator[FaultHold]:
    """Hold a world that is up for faults; SIGTERM and SIGHUP end the block as Ctrl-C does.

    Raises: Missing when it is not up; Locked; what a fault that cannot be taken away raises.
    """
    require_root("chaos")
    with locked(InstancePaths(world.plan.instance), world.name), terminable():
        if not world.main_pids():
            raise world.absence()
        drill_record.refuse(world.plan.instance, world.name, "chaos")
        record.repair(world.plan.instance, world.name)
        held = FaultHold(world)
        try:
            yield held
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
            try:
                held.take_all_away()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block; a thread other than the main one cannot."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    former = {each: signal.signal(each, end) for each in _ENDING[1:]}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
