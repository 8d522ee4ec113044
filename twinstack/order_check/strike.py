"""Strike a running world, and note when a fault began, was over, and all was back.

`strike` puts one of `twinstack.faults` and takes it away again; `carry_out` does so with a whole
schedule beside a load: round after round, each when the former is recovered from.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from twinstack.errors import NotHealthy, TwinstackError
from twinstack.faults.catalogue import find
from twinstack.faults.drawing import DrawnFault
from twinstack.faults.hold import FaultHold
from twinstack.faults.making import members_of
from twinstack.model.plan import Plan, Replica
from twinstack.namespaces.replica import probe
from twinstack.order_check import schedule
from twinstack.order_check.customer import Recorder
from twinstack.order_check.history import ORDERING, CausedFault
from twinstack.world import LocalWorld

#: What keeps data. Its recovery counts from its return.
STORES = frozenset({"redis-cache", "postgres-db"})
#: Full service is promised so long after a store's return.
STORE_RECOVERY_S = 5.0
#: How long a replica may take to be back before it is given up.
BACK_WITHIN_S = 60.0
#: So long nothing fails when all is calm.
CALM_S = 1.0
_POLL_S = 0.1


def struck_by(plan: Plan, target: str) -> tuple[Replica, ...]:
    """Give the replicas that a fault at a target strikes."""
    if target == "engine":
        return plan.here
    return tuple(replica for side in target.split("/") for replica in members_of(plan, side))


def strike(
    held: FaultHold,
    fault: DrawnFault,
    recorder: Recorder,
    stop: threading.Event,
    awaited: Sequence[Replica] = (),  # by default those that it strikes
) -> CausedFault:
    """Put a fault, let it stay, take it away and wait until all is back; `stop` ends it early.

    Raises: NotHealthy when something does not come back; StepFailed; as the fault.
    """
    world, plan, kind = held.world, held.world.plan, find(fault.fault)
    struck = struck_by(plan, fault.target)
    store = any(replica.service in STORES for replica in struck)
    promised_s = kind.promise(plan, fault.target).full_within_s
    began_s = recorder.now_s()
    number = held.put(fault.fault, fault.target)
    try:
        stop.wait(max(0.0, began_s + fault.seconds - recorder.now_s()))
    finally:
        leaving_s = recorder.now_s()
        held.take_away(number)
    ended_s = leaving_s if kind.restarts else recorder.now_s()
    await_healthy(world, awaited or struck, f"after {fault}")
    return CausedFault(
        fault.fault,
        fault.target,
        round(began_s, 3),
        round(ended_s, 3),
        round(recorder.now_s(), 3),
        STORE_RECOVERY_S if store else promised_s,
        store,
    )


def await_healthy(world: LocalWorld, replicas: Iterable[Replica], when: str) -> None:
    """Wait until replicas' own probes succeed. Raises: NotHealthy."""
    deadline = time.monotonic() + BACK_WITHIN_S
    waiting, detail = list(replicas), "it does not run"
    while True:
        pids = world.main_pids()
        for replica in waiting[:]:
            if replica.name in pids:
                state, detail = probe(replica, pids[replica.name])
                if state == "healthy":
                    waiting.remove(replica)
        if not waiting:
            return
        if time.monotonic() > deadline:
            remedy = f"see invoke {world.name}.logs {waiting[0].name}"
            failure = f"is not healthy {BACK_WITHIN_S:g} s {when}"
            raise NotHealthy(waiting[0].name, failure, detail, remedy)
        time.sleep(_POLL_S)


def await_calm(recorder: Recorder, until_s: float) -> None:
    """Wait until all that is sent for a while is answered, both orders and others, at most until a
    moment of the recorder's clock.
    """
    time.sleep(CALM_S)
    while recorder.now_s() < until_s:
        time.sleep(_POLL_S)
        since_s = recorder.now_s() - CALM_S
        sent = [each for each in recorder.operations[-5000:] if each.invoked_s > since_s]
        answered = all(each.outcome != "unknown" for each in sent)
        both = len({each.kind in ORDERING for each in sent}) == 2
        if both and answered and all(at_s > since_s for at_s in recorder.pending()):
            return


@dataclass(slots=True)
class Striker:
    """Carries out a schedule; `struck` holds what was done, `failures` what could not be."""

    held: FaultHold
    recorder: Recorder
    stop: threading.Event
    pause_s: float = 0.0  # between rounds, beyond what is waited for
    struck: list[CausedFault] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def carry_out(self, faults: Sequence[DrawnFault]) -> None:
        """Strike round after round, once the load is under way; return when all is calm."""
        await_calm(self.recorder, STORE_RECOVERY_S)
        for some in schedule.rounds(faults):
            if self.stop.wait(self.pause_s):
                return
            # A thread of its own each: what holds packets back ends with the thread that began it.
            threads = [threading.Thread(target=self._strike, args=(fault,)) for fault in some]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            latest = self.struck[-len(some) :]
            until_s = max((each.over_s + each.within_s for each in latest), default=0.0)
            await_calm(self.recorder, until_s + CALM_S)

    def _strike(self, fault: DrawnFault) -> None:
        try:
            if not self.stop.wait(fault.after_s):
                self.struck.append(strike(self.held, fault, self.recorder, self.stop))
        except (TwinstackError, OSError) as error:
            self.failures.append(f"{fault}: {error}")
