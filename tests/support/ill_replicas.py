"""Replicas of a world made ill, stopped and killed under GETs, and what the clients saw.

The same for both worlds: `Shop` says where its edge and its processes are.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.askers import Seen, asking_in
from tests.support.sandbox import Sandbox, eventually

REPLICAS = ("product-service", "product-service-2", "product-service-3")
CLIENTS = 4
EJECTED_WITHIN_S = 4.0
BACK_WITHIN_S = 15.0
BOUND_S = 1.0


@dataclass(frozen=True)
class Shop:
    """A world under test."""

    host: Sandbox
    world: str
    edge: tuple[str, int]
    pid: Callable[[str], int]  # of a healthy replica's main process, else 0
    database: str  # PostgreSQL's address

    def gateway_log(self) -> list[dict[str, object]]:
        """Give the gateway's last events."""
        words = (f"{self.world}.logs", "api-gateway", "--lines", "100000", "--json")
        lines = self.host.invoke(*words).stdout.splitlines()
        texts = (json.loads(line)["text"] for line in lines)
        events = (json.loads(text) for text in texts if text.startswith("{"))
        return [event for event in events if event.get("message") != "request"]

    def ejected_at_s(self, name: str, since_s: float) -> float:
        """Say when the gateway first passed a replica over. Times are the monotonic clock's."""
        shift_s = time.monotonic() - time.time()
        moments = [
            float(str(event["time"])) + shift_s
            for event in self.gateway_log()
            if (event["message"], event.get("instance")) == ("instance ejected", name)
        ]
        return next(moment for moment in moments if moment >= since_s - 0.1)

    def serving(self) -> set[str]:
        """Name the replicas that answer a few requests."""
        words = ("-o", "/dev/null", "-w", "%header{x-served-by} ")
        address, port = self.edge
        url = f"http://{address}:{port}/api/products/[1-12]"
        return set(self.host.fetch(url, *words).split())

    def await_all(self) -> None:
        """Wait until every replica has its turns."""
        eventually(lambda: self.serving() == set(REPLICAS), within_s=BACK_WITHIN_S)


def family(pid: int) -> list[int]:
    """List a process and all its descendants. Source: proc(5), children."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [pid, *(member for child in children for member in family(child))]


@contextmanager
def cut_from_database(shop: Shop, name: str) -> Iterator[None]:
    """Take PostgreSQL from one replica: its /health says 503."""
    enter = ("nsenter", "-t", str(shop.pid(name)), "-n", "iptables")
    rule = ("OUTPUT", "-d", shop.database, "-j", "DROP")
    shop.host.run(*enter, "-I", *rule)
    try:
        yield
    finally:
        shop.host.run(*enter, "-D", *rule)


@contextmanager
def stopped(shop: Shop, name: str) -> Iterator[None]:
    """Hold a replica with SIGSTOP, its workers too."""
    pids = family(shop.pid(name))
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def check_answers(seen: list[Seen], ejected_at_s: float) -> str:
    """Every GET was answered, and those sent past the first ejection within a second."""
    slowest_s = max(request.took_s for request in seen)
    later_s = max(request.took_s for request in seen if request.at_s > ejected_at_s)
    assert Counter(request.status for request in seen) == {200: len(seen)}
    assert later_s < BOUND_S
    return f"{len(seen)} GETs, all 200; slowest {slowest_s:.2f} s, past the ejection {later_s:.2f}"


def check_passed_over(
    shop: Shop,
    fault: Callable[[Shop, str], AbstractContextManager[None]],
    seconds: float,
) -> str:
    """Strike one replica for some seconds: the others serve, and it comes back."""
    name = REPLICAS[1]
    shop.await_all()
    with asking_in(shop.host, *shop.edge, CLIENTS) as seen:
        time.sleep(0.5)
        began_s = time.monotonic()
        with fault(shop, name):
            time.sleep(seconds)
        shop.await_all()
    ejected_at_s = shop.ejected_at_s(name, began_s)
    assert ejected_at_s - began_s < EJECTED_WITHIN_S
    after = [request for request in seen if ejected_at_s < request.at_s < began_s + seconds]
    assert after, f"it was passed over {ejected_at_s - began_s:.1f} s after"
    assert name not in {request.served_by for request in after}
    return check_answers(seen, ejected_at_s)


def kill_and_await(shop: Shop, name: str) -> None:
    """Kill a replica; wait for the next process in its place to be healthy."""
    killed = shop.pid(name)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: shop.pid(name) not in {0, killed}, within_s=BACK_WITHIN_S)


def check_killed_in_turn(shop: Shop, rounds: int) -> str:
    """Kill replica after replica, each when the one before is healthy again."""
    shop.await_all()
    began_s = time.monotonic()
    with asking_in(shop.host, *shop.edge, CLIENTS) as seen:
        for name in REPLICAS * rounds:
            kill_and_await(shop, name)
    shop.await_all()
    return check_answers(seen, began_s)
