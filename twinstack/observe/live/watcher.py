"""Watch one world for as long as it is wanted, and tell a sample each second.

Runs in a child of its own: it enters namespaces, and no number of people who look makes it do
more. A process that ends is told at once, not at the next second. What runs is asked of the
supervisor or the engine when something ended, more often while something lacks, and now and then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace

from twinstack.errors import TwinstackError
from twinstack.model.topology import WorldName
from twinstack.observe.live import samples
from twinstack.observe.live.documents import BALANCE_S, GATEWAY, REGISTRY, WorldSample
from twinstack.observe.live.events import Event, events, turned
from twinstack.observe.live.prober import Prober
from twinstack.observe.live.readings import Reading, Said
from twinstack.observe.live.usage import UsageReader, conntrack
from twinstack.world import World

PERIOD_S = 1.0
#: How long answers are waited for before a sample is told; later ones are in the next.
ANSWERS_S = 0.3
#: How often the supervisor or engine is asked although nothing seems to have changed.
ASK_AGAIN_S = 15.0
#: The same while some replica has no process: often enough to see it come.
ASK_LACKING_S = 1.5
#: How often a world that is not up is looked for.
LOOK_AGAIN_S = 2.0

Emit = Callable[[WorldSample], None]
Give = Callable[[], World | None]


def watch(name: WorldName, give: Give, emit: Emit, *, stop: Callable[[], bool]) -> None:
    """Tell samples of a world until `stop` says so; of one that is not up, that it is not.

    `give` gives the world as it runs now, or None.
    """
    emit = _turning(emit)
    while not stop():
        trouble = ""
        try:
            world = give()
            if world is not None and _Watch(name, world, give, emit).run(stop):
                continue
        except (TwinstackError, OSError) as error:
            trouble = " ".join(str(error).split())
        if not stop():
            emit(WorldSample(name, time.time(), False, trouble=trouble))
            _sleep(LOOK_AGAIN_S, stop)


def _turning(emit: Emit) -> Emit:
    """Tell with a sample that the world came or went since the one before."""
    up: bool | None = None

    def tell(found: WorldSample) -> None:
        nonlocal up
        if up is not None and found.up != up and not found.trouble:
            found = replace(found, events=(*found.events, asdict(turned(found.at, found.up))))
        up = up if found.trouble else found.up
        emit(found)

    return tell


def _sleep(seconds: float, stop: Callable[[], bool]) -> None:
    until_s = time.monotonic() + seconds
    while not stop() and (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, 0.2))


class _Watch:
    """One world, from when it is found up until it is gone."""

    def __init__(self, name: WorldName, world: World, give: Give, emit: Emit) -> None:
        self._name = name
        self._world = world
        self._plan = world.plan
        self._give = give
        self._emit = emit
        self._prober = Prober(world.plan)
        self._usage = UsageReader(world.cgroup_paths)
        self._readings: deque[Reading] = deque(maxlen=round(BALANCE_S / PERIOD_S) + 3)
        self._events: list[Event] = []
        self._died_s: dict[str, float] = {}

    def run(self, stop: Callable[[], bool]) -> bool:
        """Watch until `stop` says so, or the world is gone, or is another: then give True."""
        try:
            return self._run(stop)
        finally:
            self._prober.end()
            self._usage.close()

    def _run(self, stop: Callable[[], bool]) -> bool:
        pids = self._world.main_pids()
        asked_s = due_s = time.monotonic()
        while pids and not stop():
            self._prober.follow(pids)
            ended = self._prober.round(ANSWERS_S)
            self._tell(pids, ended)
            due_s = max(due_s + PERIOD_S, time.monotonic() + PERIOD_S / 2)
            if not ended and (ended := self._prober.rest(due_s)):
                self._tell(pids, ended)
            if ended:  # whoever starts it again needs a moment
                _sleep(min(due_s - time.monotonic(), PERIOD_S / 2), stop)
            lacking = len(pids) < len(self._plan.replicas)
            again_s = ASK_LACKING_S if lacking else ASK_AGAIN_S
            if ended or time.monotonic() - asked_s > again_s:
                was, pids = pids, self._world.main_pids()
                asked_s = time.monotonic()
                if pids and pids != was and self._is_another():
                    return True
        return False

    def _is_another(self) -> bool:
        now = self._give()
        return now is None or samples.key_of(now.plan) != samples.key_of(self._plan)

    def _tell(self, pids: dict[str, int], ended: tuple[str, ...]) -> None:
        if not self._readings and not all(one.settled for one in self._prober.probes.values()):
            return  # nothing is said of a world before everybody had the time to answer
        at = time.time()
        self._died_s |= dict.fromkeys(ended, time.monotonic())
        reading = self._read({name: pid for name, pid in pids.items() if name not in ended})
        if self._readings:
            self._events += events(self._plan, at, self._readings[-1], reading)
        self._readings.append(reading)
        found = samples.sample(self._name, self._plan, at, list(self._readings))
        self._emit(replace(found, events=tuple(asdict(one) for one in self._events)))
        self._events.clear()

    def _read(self, pids: dict[str, int]) -> Reading:
        probes = {name: one for name, one in self._prober.probes.items() if name in pids}
        now_s = time.monotonic()
        said = {}
        for one in self._plan.replicas:
            said[one.name] = Said("down", "its process is not there")
            # A death is shown for a whole period, however soon another process takes its place.
            if one.name in probes and now_s - self._died_s.get(one.name, -PERIOD_S) >= PERIOD_S:
                said[one.name] = probes[one.name].said
        registry = [one.registry for one in probes.values() if one.replica.service == REGISTRY]
        return Reading(
            at_s=time.monotonic(),
            pids=pids,
            said=said,
            usage=self._usage.read(pids, time.monotonic()),
            edges={name: one.count for name, one in probes.items() if one.count},
            gateways={
                name: one.gateway
                for name, one in probes.items()
                if one.gateway and one.replica.service == GATEWAY
            },
            asked={name: one.asks for name, one in probes.items() if one.asks},
            registry=registry[0] if registry else None,
            conntrack=conntrack(),
        )
