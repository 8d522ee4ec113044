"""Each drill holds what it promises in the namespace world, and a killed one can be taken out.

Its sample is tests/e2e/test_drill.py: one student's way, havoc, and a kill.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.support import drill_inside
from tests.support.drill_inside import START
from tests.support.kernel_state import kernel_state, unlike
from tests.support.sandbox import INVOKE, Sandbox
from twinstack.drill.catalogue import DRILLS

pytestmark = [pytest.mark.kernel, pytest.mark.e2e, pytest.mark.timeout(0)]
KILLS = 24
Tell = Callable[[str], None]


def of(shape: str) -> list[str]:
    return [each.name for each in DRILLS if "net" in each.worlds and shape in each.shapes]


@pytest.mark.long
@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_drill_is_seen_repaired_refused_and_taken_out(
    host: Sandbox, tell: Tell, shape: str
) -> None:
    names = of(shape)
    failures = drill_inside.on_host(host, names, shape)
    tell(f"{shape}: {len(names)} drills tried, {len(failures)} failures")
    assert failures == []


@pytest.mark.long
def test_a_fault_in_a_store_that_was_stopped_meanwhile_is_taken_out(host: Sandbox) -> None:
    host.invoke("net.up")
    for name, store in (("poisoned-cache", "redis-cache"), ("revoked-grant", "postgres-db")):
        host.invoke("drill.start", name)
        host.run("sh", "-c", START.replace("start order-service", f"stop {store}"))
        host.invoke("drill.stop")
        host.invoke("drill.start", name)  # refused, if a probe of it fails
        host.invoke("drill.stop")
    host.invoke("net.down")


@pytest.mark.long
def test_without_the_snapshot_no_repair_passes_and_stop_still_takes_the_fault_away(
    host: Sandbox,
) -> None:
    host.invoke("net.up")
    before = kernel_state(host)
    host.invoke("drill.start", "change-freeze")
    host.run("sh", "-c", "rm /run/twinstack/$TWINSTACK_INSTANCE/drill-before.json")
    assert "cannot be compared" in host.invoke("drill.solve", check=False).stdout
    host.invoke("drill.stop")
    assert unlike(before, kernel_state(host)) == []
    host.invoke("net.down")


@pytest.mark.long
def test_a_drill_that_is_killed_at_any_moment_is_taken_out_by_stop(
    host: Sandbox, tell: Tell
) -> None:
    host.invoke("net.up")
    draw, before = random.Random(7), kernel_state(host)
    names = of("flat")
    for number in range(KILLS):
        name, task = draw.choice(names), ("drill.start", "drill.check", "drill.solve")[number % 3]
        if task != "drill.start":
            host.invoke("drill.start", name)
        words = (task, name) if task == "drill.start" else (task,)
        running = host.start(INVOKE, *words, stdout=-3, stderr=-3)
        time.sleep(draw.uniform(0.3, 4.0))
        running.send_signal(signal.SIGKILL)
        running.wait()
        if number % 4 == 3:  # the way back is killed too
            running = host.start(INVOKE, "drill.stop", stdout=-3, stderr=-3)
            time.sleep(draw.uniform(0.3, 2.0))
            running.send_signal(signal.SIGKILL)
            running.wait()
        stopped = host.invoke("drill.stop", check=False)
        assert stopped.returncode in {0, 2}, f"{task} {name}: {stopped.stderr}"
        assert unlike(before, kernel_state(host)) == [], f"{task} {name}"
    tell(f"{KILLS} kills")
    host.invoke("net.down")
