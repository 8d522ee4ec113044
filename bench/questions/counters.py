"""What causes are known by, counted beside a load: see `symptoms`.

Source: proc(5): /proc/PID/io.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from bench.engine import worlds
from bench.engine.arm import Arm
from bench.load import Tally
from bench.questions.causes import PlantedWorld, saved_rules
from twinstack.errors import CannotTell
from twinstack.linux.counters import snmp
from twinstack.observe.redis import command_calls

_REST_S = 2.0


def counting(place: PlantedWorld) -> Callable[[Arm], Arm]:
    """Give what adds counters per request to an arm's figures, less what they count at rest.

    They are read around the window, not in it: asking an engine costs its CPU time.
    Raises: CannotTell when a replica's are gone.
    """
    before = _counters(place)
    time.sleep(_REST_S)
    after = _counters(place)
    rest = {name: (after[name] - before[name]) / _REST_S for name in after}
    expected = len(place.world.plan.replicas)

    def counted(arm: Arm) -> Arm:
        figures: dict[str, float] = {}  # those of the window, which are complete at its end

        def load() -> Tally:
            tally = arm.load()
            figures.update(tally.figures, done=max(tally.done, 1))
            return Tally(tally.done, tally.failed, figures)

        @contextmanager
        def during() -> Iterator[Mapping[int, str] | None]:
            nonlocal figures
            with arm.during() as parts:
                figures = {}
                before, used_us, start_s = _counters(place), place.world.cpu_us(), time.monotonic()
                yield parts
                seconds, now_us = time.monotonic() - start_s, place.world.cpu_us()
                for name, count in _counters(place).items():
                    beyond = count - before[name] - rest[name] * seconds
                    figures[name] = beyond / figures.get("done", 1)
                figures["rules"] = saved_rules().count("\n-A ")
                figures["missing"] = expected - len(place.world.main_pids())
                used = {of: now_us[of] - us for of, us in used_us.items()}
                place.used_cores = {of: us / seconds / 1e6 for of, us in used.items()}

        return replace(arm, load=load, during=during)

    return counted


def _counters(place: PlantedWorld) -> dict[str, float]:
    """Read counters that only grow, in every replica's own network."""
    counters = dict.fromkeys(("opened", "datagrams", "waited_lines"), 0.0)
    try:
        for replica, pid in place.world.main_pids().items():
            kinds = snmp(pid)
            if replica != worlds.EDGE:  # those are its clients'
                counters["opened"] += kinds["Tcp", "PassiveOpens"]
            counters["datagrams"] += kinds["Udp", "OutDatagrams"]
        for pid in place.workers():
            with suppress(OSError):  # in a container, a health probe that has just ended
                io = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
                counters["waited_lines"] += int(io.split("syscw:")[1].split()[0])
    except OSError as error:
        raise CannotTell("a replica", "has no counters", str(error), "measure again") from error
    redis, network = place.world.endpoint("redis-cache"), place.redis_network
    calls = command_calls(redis, place.redis_password, network)
    return {**counters, "fills": float(calls.get("set", 0))}
