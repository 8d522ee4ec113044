"""What the seccomp filter costs a request: one replica under it, one not, and the other way round.

Rounds load both in turn, in an order that changes; half way the two change places, so that what
is peculiar to a replica cancels out. CPU time is each replica's own cgroup's.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.load import ab
from tests.support.sandbox import Sandbox, eventually
from twinstack.linux.cgroup import ControlGroup
from twinstack.statistics import estimate
from twinstack.statistics.estimate import Pair

pytestmark = [pytest.mark.e2e, pytest.mark.long]

REPLICAS = ("product-service", "product-service-2")
ADDRESS = {"product-service": "10.0.0.30", "product-service-2": "10.0.0.31"}
ROUNDS = 60
REQUESTS = 1_000
SEED = 4


def seccomp_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text().partition("Seccomp:\t")[2][0]


def restart(host: Sandbox, replica: str, *, filtered: bool) -> None:
    """Restart a replica by its launch script, with or without the line that loads the filter."""
    script = f"/run/twinstack/{host.instance}/launch/{replica}"
    host.run("sh", "-c", '[ -e "$1.kept" ] || cp -p "$1" "$1.kept"', "sh", script)
    text = host.run("cat", f"{script}.kept").stdout
    if not filtered:
        text, count = re.subn(r"syscall\(\d+, 22, 2, \$program\) == 0 or", "1 or", text)
        assert count == 1
    host.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text, script)
    old = host.status()[replica]["pid"]
    os.kill(old, signal.SIGKILL)
    eventually(lambda: host.status()[replica]["pid"] not in {None, old}, within_s=20)
    eventually(lambda: host.status()[replica]["state"] == "healthy", within_s=20)
    assert seccomp_of(host.status()[replica]["pid"]) == ("2" if filtered else "0")


def trial(host: Sandbox, replica: str, pid: int) -> tuple[float, float]:
    """Load a replica; give its rate, and its CPU time for each request."""
    url = f"http://{ADDRESS[replica]}:5000/products"
    file = f"/run/{host.instance}.csv"
    before = ControlGroup.of(pid).cpu_us()
    load = ab.AbLoad(requests=REQUESTS, concurrency=8, keepalive=True)
    words = ab.command(url, load, Path(file))
    # From inside its own network: no policy lets the host in, and nothing else is on the way.
    stdout = host.run("nsenter", f"--net=/run/netns/{replica}", *words).stdout
    spent = ControlGroup.of(pid).cpu_us() - before
    report = ab.parse(stdout, host.run("cat", file).stdout)
    assert report.done == REQUESTS
    return report.done / report.figures["seconds"], spent / REQUESTS


def test_the_filter_costs_less_than_five_percent(
    host: Sandbox, tell: Callable[[str], None]
) -> None:
    host.invoke("net.up", "--no-limits")  # a quota would hide a cost that fits into it
    chance = random.Random(SEED)
    rates: dict[bool, list[float]] = {True: [], False: []}
    spent: dict[bool, list[float]] = {True: [], False: []}
    for under in (REPLICAS, REPLICAS[::-1]):
        filtered = {under[0]: True, under[1]: False}
        for replica in REPLICAS:
            restart(host, replica, filtered=filtered[replica])
        pids = {name: host.status()[name]["pid"] for name in REPLICAS}
        for number in range(-1, ROUNDS // 2):
            for replica in chance.sample(REPLICAS, 2):
                rate, cpu = trial(host, replica, pids[replica])
                if number >= 0:  # the first warms up
                    rates[filtered[replica]].append(rate)
                    spent[filtered[replica]].append(cpu)
                time.sleep(0.05)
    for what, values in (("req/s", rates), ("CPU µs per request", spent)):
        pairs = [Pair(1, *sides) for sides in zip(values[True], values[False], strict=True)]
        ratio = estimate.ratio(pairs)
        tell(
            f"{what}: {estimate.spread(values[True]).median:.1f} with the filter, "
            f"{estimate.spread(values[False]).median:.1f} without; ratio {ratio.estimate:.3f} "
            f"[{ratio.low:.3f}, {ratio.high:.3f}], {ratio.pairs} rounds of {REQUESTS}"
        )
        # What is asked is that no cost of 5 % is seen; a noisy machine may leave it open.
        assert ratio.low < 1.05 if what.startswith("CPU") else ratio.high > 0.95
