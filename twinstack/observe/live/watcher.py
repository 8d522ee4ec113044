"""Watch one world, and emit a sample each second.

Runs in a child of its own, since it enters namespaces; the number of readers does not matter to it.
A process that ends is reported at once. The supervisor or the engine is asked which processes run
when one ended, often while a replica has none, and now and then; then also whether the world still
is what it was when it was found.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import NoReturn

from twinstack.errors import TwinstackError
from twinstack.linux import conntrack
from twinstack.model.topology import WorldName
from twinstack.observe.live import model, samples
from twinstack.observe.live.events import Event, events, world_event
from twinstack.observe.live.prober import Prober
from twinstack.observe.live.usage import UsageReader
from twinstack.world import LocalWorld

PERIOD_S = 1.0
#: How long a sample waits for answers; later ones are in the next.
ANSWERS_S = 0.3
#: How often the world is asked for its processes although nothing seems to have changed.
ASK_AGAIN_S = 15.0
#: The same while a replica has no process.
ASK_LACKING_S = 1.5
#: How often a world that is not up is looked for.
LOOK_AGAIN_S = 2.0

Emit = Callable[[model.WorldSample], None]
#: Gives a world as it runs now, or None when it is not up.
FindWorld = Callable[[], LocalWorld | None]


def watch(name: WorldName, find: FindWorld, emit: Emit) -> NoReturn:
    """Emit samples of a world for ever; also while it is not up."""
    emit = _with_world_events(emit)
    while True:
        trouble = ""
        try:
            world = find()
            if world is not None and _Watch(name, world, find, emit).run():
                continue
        except (TwinstackError, OSError) as error:
            trouble = " ".join(str(error).split())
        emit(model.WorldSample(name, time.time(), False, trouble=trouble))
        time.sleep(LOOK_AGAIN_S)


def _with_world_events(emit: Emit) -> Emit:
    """Add an event to the sample with which a world came up or went down."""
    up: bool | None = None

    def emit_with_event(sample: model.WorldSample) -> None:
        nonlocal up
        if up is not None and sample.up != up and not sample.trouble:
            event = asdict(world_event(sample.at, sample.up))
            sample = replace(sample, events=(*sample.events, event))
        up = up if sample.trouble else sample.up
        emit(sample)

    return emit_with_event


class _Watch:
    """One world, from when it is found up until it is gone."""

    def __init__(self, name: WorldName, world: LocalWorld, find: FindWorld, emit: Emit) -> None:
        self._name = name
        self._world = world
        self._plan = world.plan
        self._names = [replica.name for replica in world.plan.replicas]
        self._find = find
        self._emit = emit
        self._prober = Prober(world.plan)
        self._usage = UsageReader(world.cgroup_paths)
        self._readings: deque[model.Reading] = deque(maxlen=round(model.BALANCE_S / PERIOD_S) + 3)
        self._events: list[Event] = []
        self._died_s: dict[str, float] = {}
        self._last_pids: dict[str, int] = {}
        self._restarts: Counter[str] = Counter()

    def run(self) -> bool:
        """Watch until the world is gone; give True when another runs in its place."""
        try:
            return self._run()
        finally:
            self._prober.close()

    def _run(self) -> bool:
        pids = self._world.main_pids()
        asked_s = due_s = time.monotonic()
        while pids:
            self._prober.follow(pids)
            ended = self._prober.round(ANSWERS_S)
            self._emit_sample(pids, ended)
            due_s = max(due_s + PERIOD_S, time.monotonic() + PERIOD_S / 2)
            if not ended and (ended := self._prober.wait(due_s)):
                self._emit_sample(pids, ended)
            if ended:  # its restart takes a moment
                time.sleep(max(min(due_s - time.monotonic(), PERIOD_S / 2), 0))
            lacking = len(pids) < len(self._plan.replicas)
            soon = lacking or self._knows_of_more()
            if ended or time.monotonic() - asked_s > (ASK_LACKING_S if soon else ASK_AGAIN_S):
                before, pids = pids, self._world.main_pids()
                asked_s = time.monotonic()
                if pids and (pids != before or not lacking):  # more replicas change no process
                    now = self._find()
                    if now is None or samples.key_of(now.plan) != samples.key_of(self._plan):
                        return True
        return False

    def _knows_of_more(self) -> bool:
        """Tell whether the registry names an instance that is not in the plan: it was scaled up."""
        leases = (self._readings[-1].registry or ()) if self._readings else ()
        return any(lease.instance not in self._names for lease in leases)

    def _emit_sample(self, pids: dict[str, int], ended: tuple[str, ...]) -> None:
        if not self._readings and not all(one.settled for one in self._prober.probes.values()):
            return  # no sample before every replica had the time to answer
        at = time.time()
        self._died_s |= dict.fromkeys(ended, time.monotonic())
        reading = self._read({name: pid for name, pid in pids.items() if name not in ended})
        if self._readings:
            self._events += events(self._plan, at, self._readings[-1], reading)
        self._readings.append(reading)
        sample = samples.sample(self._name, self._plan, at, list(self._readings))
        self._emit(replace(sample, events=tuple(asdict(event) for event in self._events)))
        self._events.clear()

    def _read(self, pids: dict[str, int]) -> model.Reading:
        now_s = time.monotonic()
        probes = {name: probe for name, probe in self._prober.probes.items() if name in pids}
        results = dict.fromkeys(self._names, model.ProbeResult("down", "it has no process"))
        for name, probe in probes.items():
            # A death is shown for a whole period, however soon another process takes its place.
            if now_s - self._died_s.get(name, -PERIOD_S) >= PERIOD_S:
                results[name] = probe.result
        registries = [one.registry for one in probes.values() if one.registry is not None]
        self._restarts.update(
            name for name, pid in pids.items() if self._last_pids.get(name, pid) != pid
        )
        self._last_pids |= pids
        return model.Reading(
            at_s=now_s,
            pids=pids,
            restarts=dict(self._restarts),
            probes=results,
            usage=self._usage.read(pids, now_s),
            requests={name: one.requests for name, one in probes.items() if one.requests},
            gateways={name: one.gateway for name, one in probes.items() if one.gateway},
            dependencies={name: one.asked for name, one in probes.items() if one.asked},
            registry=registries[0] if registries else None,
            conntrack=conntrack.size(),
        )
