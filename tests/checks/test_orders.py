"""Orders under fire in the namespace world: none lost, none doubled, and the checker can tell."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.orders_inside import judged
from tests.support.planted_bugs import PLANTED
from tests.support.project import ROOT
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.kernel, pytest.mark.e2e, pytest.mark.timeout(0)]
Tell = Callable[[str], None]
#: Of these the sample plants a few: one at rest, one in a cart, one that needs a fault.
SAMPLE = ("dropped key", "the cart stays full", "acknowledged before it is durable")


@pytest.fixture(autouse=True)
def fresh_host(host: Sandbox) -> Iterator[None]:
    """Take away what a test brought up."""
    yield
    host.invoke("clean")


def inside(host: Sandbox, *words: str, timeout_s: float = 7200) -> list[dict[str, Any]]:
    """Have orders_inside.py work in there."""
    command = (sys.executable, "-m", "tests.support.orders_inside", *words)
    environment = ("env", f"PYTHONPATH={ROOT}")
    done = host.run(*environment, *command, timeout_s=timeout_s)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_orders_under_fire_are_neither_lost_nor_doubled(
    host: Sandbox, orders: tuple[int, int, int], full: bool, tell: Tell
) -> None:
    host.invoke("net.up")
    count, faults, seed = orders
    words = f"--orders {count} --faults {faults} --seed {seed}{' --shrink' if full else ''}"
    (report,) = inside(host, "fire", *words.split())
    tell(json.dumps({key: value for key, value in report.items() if key != "shown"}))
    judged(report, alone=full)


@pytest.mark.long
def test_every_planted_bug_is_found_and_sound_services_have_none(
    host: Sandbox, full: bool, tell: Tell
) -> None:
    names = [] if full else [word for name in ("none", *SAMPLE) for word in ("--bug", name)]
    sound, *bugs = inside(host, "planted", *names)
    for report in (sound, *bugs):
        tell(f"{report['bug']} ({report['took_s']} s): {report['violations'] or 'nothing found'}")
    assert sound["violations"] == {}, "\n".join(sound["shown"])
    assert [report["bug"] for report in bugs if not report["violations"]] == []
    assert len(bugs) == (len(PLANTED) if full else len(SAMPLE))


@pytest.mark.long
def test_a_failing_schedule_shrinks_to_faults_that_fail_again(
    host: Sandbox, full: bool, tell: Tell
) -> None:
    replays = 20 if full else 3
    (shrunk,) = inside(host, "shrink", "--replays", str(replays))
    tell(json.dumps(shrunk))
    assert len(shrunk["least"]) <= 3
    assert shrunk["failed_again"] >= replays - 1
