"""Orders under fire, inside a host of a test's own: `python -m tests.support.orders_inside WORK`.

Prints a JSON document a line as the work goes on. `fire` strikes the namespace world that is up,
`planted` brings up one world after the other with a bug in its services, `shrink` shrinks a
schedule under which such a bug loses orders.
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
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.support.planted_bugs import NOT_DURABLE, PLANTED, PlantedBug, plant
from tests.support.project import ROOT
from twinstack.faults import drawing
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.process_steps import digest
from twinstack.namespaces.provision import provide
from twinstack.namespaces.world import NamespaceWorld
from twinstack.order_check.fire import OrderLoad, fire
from twinstack.order_check.history import JSON, History
from twinstack.order_check.replay import REPLAYS, shrunk
from twinstack.order_check.report import report
from twinstack.order_check.schedule import draw
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

UP_TIMEOUT_S = 60.0
#: Beside the instance's own directory, which `clean` takes away.
PLANTED_SRV = Path("/var/lib/twinstack/another/planted")
BUG_ORDERS, ORDERS_A_FAULT = 400, 150  # so many that a kill meets one under way
#: A schedule in which every replica is killed once and stopped once.
SHRINK_FAULTS, SHRINK_WHAT = 18, "kill,stop"


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def say(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def judged(report: dict[str, Any], *, alone: bool) -> None:
    """Assert that no order broke a rule; and, `alone` on its machine, that all was soon well.

    How soon all is well again says little of a machine that runs other tests meanwhile.
    """
    assert not report["violations"], "\n".join(report["shown"])
    assert not (alone and report["slow"]), "\n".join(report["slow"])


def keep(history: History, file: str) -> None:
    """Write a history whole."""
    if file:
        with gzip.open(file, "wb") as out:
            out.write(JSON.dump_json(history))


def under_fire(
    world: LocalWorld,
    orders: int,
    faults: int,
    seed: int,
    file: str = "",
    *,
    shrinking: bool,
) -> dict[str, object]:
    """Send orders to a world that is up while faults of every kind strike.

    `shrinking` of what fails takes half an hour at most.
    """
    drawn = draw(world.plan, drawing.everything(world), seed, faults)
    history = fire(world, OrderLoad(orders, seed, drawn), tell)
    keep(history, file)
    made = report(history)
    tell(made.text())
    document = made.document()
    if made.violations and drawn and shrinking:
        found = shrunk(world, history, drawn, made.violations, tell)
        document["shrunk"] = asdict(found)
    return document


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


def planted(names: Sequence[str], seed: int, file: str) -> None:
    """Run each bug, and first a world without one under all that strikes the others."""
    made = Planted()
    strikes = dict.fromkeys(each for bug in PLANTED for each in bug.faults)
    spread = (replace(each, number=number) for number, each in enumerate(strikes, 1))
    for bug in (PlantedBug("none", (), tuple(spread)), *PLANTED):
        if names and bug.name not in names:
            continue
        start = time.monotonic()
        world = made.up(bug if bug.edits else None)
        orders = max(BUG_ORDERS, ORDERS_A_FAULT * len(bug.faults))
        load = OrderLoad(orders, seed, bug.faults, rate=float("inf"))
        history = fire(world, load, tell)
        keep(history, file and f"{file}-{bug.name}")
        found = report(history)
        took_s = round(time.monotonic() - start, 1)
        say({"bug": bug.name, "took_s": took_s, **found.document()})
    made.clean()


def shrink_planted(seed: int, replays: int) -> None:
    """Shrink a schedule that a planted bug fails under, and replay what remains."""
    made = Planted()
    world = made.up(NOT_DURABLE)
    whole = draw(made.plan, SHRINK_WHAT, seed, SHRINK_FAULTS)
    history = fire(world, OrderLoad(60 * SHRINK_FAULTS, seed, whole), tell)
    found = report(history)
    lost = [violation for violation in found.violations if violation.rule == "lost"]
    assert lost, f"the whole schedule loses nothing: {found.text()}"
    say(asdict(shrunk(world, history, whole, lost, tell, replays)))
    made.clean()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["fire", "planted", "shrink"])
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--faults", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replays", type=int, default=REPLAYS)
    parser.add_argument("--history", default="")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--bug", action="append", default=[])
    words = parser.parse_args()
    if words.work == "planted":
        planted(words.bug, words.seed, words.history)
    elif words.work == "shrink":
        shrink_planted(words.seed, words.replays)
    else:
        instance = os.environ["TWINSTACK_INSTANCE"]
        world = Stack(instance, ROOT / "topology.yml").net()
        given = (words.orders, words.faults, words.seed, words.history)
        say(under_fire(world, *given, shrinking=words.shrink))


if __name__ == "__main__":
    main()
