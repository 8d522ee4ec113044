"""Orders under fire, inside a host of a test's own: `python -m tests.support.orders_inside WORK`.

Prints a JSON document a line as the work goes on. `fire` strikes the world that is up, `planted`
brings up one world after the other with a bug in its services, `shrink` shrinks a failing schedule.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.own_engine import engine_paths
from tests.support.planted_bugs import NOT_DURABLE, PLANTED, PlantedBug, plant
from tests.support.project import ROOT
from twinstack.compose.world import DockerWorld
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.process_steps import digest
from twinstack.namespaces.provision import provide
from twinstack.namespaces.world import NamespaceWorld
from twinstack.order_check import schedule
from twinstack.order_check.fire import OrderLoad, fire
from twinstack.order_check.history import History, encode
from twinstack.order_check.report import OrderReport, report
from twinstack.order_check.schedule import PlannedFault, draw, earlier
from twinstack.order_check.shrink import shrink
from twinstack.order_check.violation import Promises
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

UP_TIMEOUT_S = 60.0
_CONF = (ROOT / "templates" / "redis.conf.j2").read_text()
PROMISED = Promises(carts_survive="appendonly yes" in _CONF)
#: Beside the instance's own directory, which `clean` takes away.
PLANTED_SRV = Path("/var/lib/twinstack/another/planted")
BUG_ORDERS = 400
#: A pace that both worlds keep on two cores.
ORDERS_A_SECOND = 120.0
SHRINK_FAULTS = 12


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def say(**document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def keep(history: History, file: str) -> None:
    """Write a history whole."""
    if file:
        with gzip.open(file, "wt") as out:
            out.writelines(f"{line}\n" for line in encode(history))


def running(instance: str, engine: str) -> LocalWorld:
    """Give the world that is up: the namespace world, or that of an engine of the tests."""
    stack = Stack(instance, ROOT / "topology.yml")
    if engine:
        return DockerWorld(stack.plan(), engine_paths(engine), ROOT)
    return stack.net()


def under_fire(world: LocalWorld, orders: int, faults: int, seed: int, file: str) -> OrderReport:
    """Send orders to a world that is up while faults strike all of its replicas."""
    targets = [replica.name for replica in world.plan.replicas]
    drawn = draw(seed, targets, faults, at_least_s=orders / ORDERS_A_SECOND)
    history = fire(world, OrderLoad(orders, seed, drawn), tell)
    keep(history, file)
    return report(history, PROMISED)


class Planted:
    """Brings up the namespace world with a bug in its services."""

    def __init__(self) -> None:
        self.stack = Stack(os.environ["TWINSTACK_INSTANCE"], ROOT / "topology.yml")
        self.plan = self.stack.net(rate_limit=False).plan
        self._copied = False

    def up(self, bug: PlantedBug | None) -> NamespaceWorld:
        """Bring up a fresh world; None: without a bug."""
        self.clean()
        provided = provide(self.plan, ROOT, tell)
        if bug is not None:
            if not self._copied:
                shutil.copytree(provided.srv, PLANTED_SRV, dirs_exist_ok=True)
                self._copied = True
            plant(bug, provided.srv / "services", PLANTED_SRV / "services")
            own = digest(f"{provided.digest} {bug.name}")
            provided = replace(provided, srv=PLANTED_SRV, digest=own)
        world = NamespaceWorld(self.plan, lambda _progress: provided, lambda: provided)
        world.up(timeout_s=UP_TIMEOUT_S, progress=lambda _line: None)
        return world

    def clean(self) -> None:
        NamespaceWorld(self.plan, self._none).clean(progress=lambda _line: None)

    @staticmethod
    def _none(_progress: Progress) -> ProvidedSoftware:
        raise AssertionError("nothing is built to be cleaned")


def planted(names: Sequence[str], seed: int) -> None:
    """Run each bug, and first a world without one under all that strikes the others."""
    made = Planted()
    sound = PlantedBug("none", (), tuple(each for bug in PLANTED for each in bug.faults[:1]))
    for bug in (sound, *PLANTED):
        if names and bug.name not in names:
            continue
        start = time.monotonic()
        world = made.up(bug if bug.edits else None)
        spread = _spread(bug.faults) if bug is sound else bug.faults
        load = OrderLoad(BUG_ORDERS, seed, spread, rate=float("inf"))
        made_report = report(fire(world, load, tell), PROMISED)
        took_s = round(time.monotonic() - start, 1)
        say(bug=bug.name, took_s=took_s, **made_report.document())
    made.clean()


def _spread(strikes: Sequence[PlannedFault]) -> tuple[PlannedFault, ...]:
    return tuple(replace(strike, at_s=1.0 + 5 * n) for n, strike in enumerate(strikes))


def shrunk(seed: int, replays: int) -> None:
    """Shrink a schedule that a planted bug fails under, and replay what remains."""
    made = Planted()
    world = made.up(NOT_DURABLE)
    targets = [replica.name for replica in made.plan.replicas]
    whole = draw(seed, targets, SHRINK_FAULTS, calm_s=(0.3, 0.6))
    runs = 0

    def fails(strikes: tuple[PlannedFault, ...]) -> bool:
        nonlocal runs
        runs += 1
        part = earlier(strikes)
        lasts_s = schedule.seconds(part, calm_s=1.0)
        load = OrderLoad(max(40, int(60 * lasts_s)), seed, part, rate=60.0, rest_s=0.5)
        violations = report(fire(world, load, lambda _line: None)).by_rule
        tell(f"{len(part)} faults: {violations or 'passed'}")
        return bool(violations.get("lost"))

    assert fails(whole), "the whole schedule does not fail"
    least = shrink(whole, fails)
    again = sum(fails(least) for _ in range(replays))
    say(
        whole=len(whole),
        least=[str(strike) for strike in least],
        runs=runs,
        replays=replays,
        failed_again=again,
    )
    made.clean()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["fire", "planted", "shrink"])
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--faults", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument("--history", default="")
    parser.add_argument("--instance", default=os.environ.get("TWINSTACK_INSTANCE", ""))
    parser.add_argument("--engine", default="", help="the tests' engine: then the Docker world")
    parser.add_argument("--bug", action="append", default=[])
    words = parser.parse_args()
    if words.work == "planted":
        planted(words.bug, words.seed)
    elif words.work == "shrink":
        shrunk(words.seed, words.replays)
    else:
        world = running(words.instance, words.engine)
        made = under_fire(world, words.orders, words.faults, words.seed, words.history)
        tell(made.text())
        say(**made.document())


if __name__ == "__main__":
    main()
