"""PlannedFault the replicas of a running world as a schedule says, and put everything back.

A kill is of a replica's main process: whatever runs the world starts it again. A frozen replica's
processes are stopped (SIGSTOP), and go on in any case when the block ends, however that is.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from twinstack.errors import TwinstackError
from twinstack.namespaces.replica import probe
from twinstack.order_check.history import CausedFault
from twinstack.order_check.schedule import PlannedFault
from twinstack.world import LocalWorld

#: How long a replica may take to be back before it is given up.
BACK_WITHIN_S = 60.0
_POLL_S = 0.1


@dataclass(slots=True)
class Striker:
    """Carries out a schedule; `struck` holds what was done, `failures` what could not be."""

    world: LocalWorld
    now_s: Callable[[], float]
    struck: list[CausedFault] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _frozen: dict[int, int] = field(default_factory=dict)  # pid → pidfd
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def carry_out(self, strikes: Sequence[PlannedFault], stop: threading.Event) -> None:
        """Do each strike at its time; return when all is back."""
        threads = []
        for strike in sorted(strikes, key=lambda each: each.at_s):
            if stop.wait(max(0.0, strike.at_s - self.now_s())):
                break
            thread = threading.Thread(target=self._strike, args=(strike, stop), daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join(BACK_WITHIN_S + strikes[-1].lasts_s if strikes else None)

    def release(self) -> None:
        """Let every frozen process go on."""
        with self._lock:
            for handle in self._frozen.values():
                with suppress(OSError):
                    signal.pidfd_send_signal(handle, signal.SIGCONT)
                os.close(handle)
            self._frozen.clear()

    def _strike(self, strike: PlannedFault, stop: threading.Event) -> None:
        try:
            pid = self._main_pid(strike.replica)
            began_s = ended_s = self.now_s()
            if strike.kind == "kill":
                os.kill(pid, signal.SIGKILL)
                back_s = self._back(strike.replica, gone=pid)
            else:
                frozen = self._freeze(strike.replica, pid)
                stop.wait(max(0.0, began_s + strike.lasts_s - self.now_s()))
                self._thaw(frozen)
                ended_s = self.now_s()
                back_s = self._back(strike.replica)
            service = self.world.plan.replica(strike.replica).service
            times = (round(moment, 3) for moment in (began_s, ended_s, back_s))
            self.struck.append(CausedFault(strike.kind, strike.replica, service, *times))
        except (TwinstackError, OSError, KeyError) as error:
            self.failures.append(f"{strike}: {error}")

    def _main_pid(self, replica: str) -> int:
        deadline = time.monotonic() + 10
        while (pid := self.world.main_pids().get(replica)) is None:
            if time.monotonic() > deadline:
                raise TwinstackError(replica, "cannot be struck", "it does not run")
            time.sleep(_POLL_S)
        return pid

    def _freeze(self, replica: str, main_pid: int) -> list[int]:
        frozen: list[int] = []
        for _ in range(2):  # again: a process may have been made meanwhile
            listed = [each.pid for each in self.world.processes() if each.replica == replica]
            for pid in (main_pid, *listed):
                if pid not in frozen and self._stop(pid):
                    frozen.append(pid)
        return frozen

    def _stop(self, pid: int) -> bool:
        with self._lock, suppress(OSError):
            handle = os.pidfd_open(pid)
            self._frozen[pid] = handle
            signal.pidfd_send_signal(handle, signal.SIGSTOP)
            return True
        return False

    def _thaw(self, pids: Sequence[int]) -> None:
        with self._lock:
            for pid in pids:
                if (handle := self._frozen.pop(pid, None)) is not None:
                    with suppress(OSError):
                        signal.pidfd_send_signal(handle, signal.SIGCONT)
                    os.close(handle)

    def _back(self, name: str, gone: int | None = None) -> float:
        """Wait until a replica's own probe succeeds. Raises: TwinstackError after a minute."""
        replica = self.world.plan.replica(name)
        deadline = time.monotonic() + BACK_WITHIN_S
        while time.monotonic() < deadline:
            pid = self.world.main_pids().get(name)
            if pid is not None and pid != gone and probe(replica, pid)[0] == "healthy":
                return self.now_s()
            time.sleep(_POLL_S)
        raise TwinstackError(name, "is not back", f"after {BACK_WITHIN_S:g} s")


@contextmanager
def striking(
    world: LocalWorld,
    strikes: Sequence[PlannedFault],
    now_s: Callable[[], float],
    stop: threading.Event,
) -> Iterator[tuple[Striker, threading.Thread]]:
    """Carry out a schedule beside the block; nothing stays frozen after it."""
    striker = Striker(world, now_s)
    thread = threading.Thread(target=striker.carry_out, args=(strikes, stop), daemon=True)
    thread.start()
    try:
        yield striker, thread
    finally:
        stop.set()
        thread.join(BACK_WITHIN_S)
        striker.release()
