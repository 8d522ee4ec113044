"""`why` names the planted cause, in either shape of the namespace world, and leaves nothing."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.kernel_state import kernel_state, unlike
from tests.support.project import ROOT
from tests.support.sandbox import INVOKE, Sandbox

pytestmark = pytest.mark.kernel
SAMPLE = 4
WITHIN_S = 3.0
Tell = Callable[[str], None]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_planted_cause_is_named_first(
    host: Sandbox, full: bool, tell: Tell, shape: str
) -> None:
    host.invoke("net.up", "--shape", shape)
    for verb in ("-A", "-D"):  # the table mangle stays, once there was a rule in it
        host.run("iptables", "-t", "mangle", verb, "FORWARD", "-j", "ACCEPT")
    before = kernel_state(host)
    words = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.why_inside")
    done = host.run(*words, "0" if full else str(SAMPLE), timeout_s=900)
    results: list[dict[str, Any]] = json.loads(done.stdout)
    slowest = max(result["took_s"] for result in results)
    wrong = [result for result in results if not result["right"]]
    tell(f"{shape}: {len(results) - len(wrong)} of {len(results)} named, slowest {slowest} s")
    assert [f"{each['case']}: {each['found']} at {each['stops']}" for each in wrong] == []
    assert slowest < WITHIN_S or not full
    assert unlike(before, kernel_state(host)) == []
    host.invoke("net.down")


def test_an_interrupted_why_leaves_no_rule_and_no_program(host: Sandbox, full: bool) -> None:
    host.invoke("net.up")
    before = kernel_state(host)
    for number in range(20 if full else 3):
        running = host.start(INVOKE, "why", "nginx-lb", "redis-cache", "--world", "net")
        time.sleep(0.4 + 0.08 * number)
        running.send_signal(signal.SIGKILL if number % 2 else signal.SIGINT)
        running.wait(timeout=10)
    assert unlike(before, kernel_state(host)) == []
    tables = host.run(
        *("env", f"PYTHONPATH={ROOT}", sys.executable, "-c"),
        "from twinstack.linux import nft_tables; print(nft_tables.present())",
    ).stdout
    assert "twinstack" not in tables
    host.invoke("net.down")
