"""Replicas change one after another, and what was drained returns when the change fails.

What a drained replica costs a request is measured on real worlds: tests/checks/test_live_change.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.bench_fakes import TOPOLOGY, FakeWorld, quiet
from twinstack.errors import NotHealthy, TwinstackError
from twinstack.live_change import rolling
from twinstack.live_change.rolling import Rolling
from twinstack.model.plan import resolve
from twinstack.model.releases import Releases
from twinstack.model.scale import Scale
from twinstack.reconcile import Change, Preview, Progress
from twinstack.world import ServiceState


class Recorded:
    """A world that keeps its scale and notes what is done to it."""

    def __init__(self) -> None:
        self.scale: Scale = ()
        self.did: list[str] = []
        self.fails: Callable[[str], bool] = lambda _act: False
        self.preview = Preview(0, ())

    def act(self, act: str) -> None:
        self.did.append(act)
        if self.fails(act):
            raise NotHealthy(act, "is unhealthy")

    def at(self, scale: Scale | None = None, releases: Releases | None = None) -> World:
        return World(self, self.scale if scale is None else scale)


class World(FakeWorld):
    def __init__(self, recorded: Recorded, scale: Scale) -> None:
        super().__init__("net", 1, resolve(TOPOLOGY, scale=scale))
        self.recorded = recorded

    def preview(self) -> Preview:
        return self.recorded.preview

    def main_pids(self) -> dict[str, int]:
        services = (each for each in self.plan.replicas if each.runtime == "wsgi")
        return {replica.name: number for number, replica in enumerate(services, 1)}

    def restart(self, replica: str, *, timeout_s: float, progress: Progress) -> None:
        self.recorded.act(f"restart {replica}")

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        self.recorded.scale = self.plan.scale
        self.recorded.act(f"up {dict(self.plan.scale)}")
        return self.status()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    made = Recorded()

    def drain(_world: object, names: set[str]) -> None:
        made.act(f"drain {' '.join(sorted(names))}")

    monkeypatch.setattr(rolling, "drain", drain)
    return made


def change(recorded: Recorded) -> Rolling:
    return Rolling(TOPOLOGY, recorded.at, 1, quiet)


def test_a_service_is_restarted_replica_after_replica_each_drained_first(recorded: Recorded):
    change(recorded).restart("product-service")
    names = ("product-service", "product-service-2", "product-service-3")
    assert recorded.did == [act for name in names for act in (f"drain {name}", f"restart {name}")]


def test_one_replica_of_several_is_restarted_alone(recorded: Recorded):
    change(recorded).restart("product-service-2")
    assert recorded.did == ["drain product-service-2", "restart product-service-2"]


def test_an_only_replica_has_a_second_one_beside_it_while_it_restarts(recorded: Recorded):
    change(recorded).restart("order-service")
    assert recorded.did == [
        "up {'order-service': 2}",
        "drain order-service",
        "restart order-service",
        "drain order-service-2",
        "up {}",
    ]


def test_the_second_one_goes_when_the_restart_fails(recorded: Recorded):
    recorded.fails = lambda act: act == "restart order-service"
    with pytest.raises(NotHealthy):
        change(recorded).restart("order-service")
    assert recorded.did[-2:] == ["drain order-service-2", "up {}"]


def test_a_store_is_restarted_without_a_drain(recorded: Recorded):
    change(recorded).restart("redis-cache")
    assert recorded.did == ["restart redis-cache"]


def test_a_service_is_scaled_up_before_and_down_after_its_replicas_are_drained(recorded: Recorded):
    change(recorded).scale("product-service", 5)
    change(recorded).scale("product-service", 2)
    assert recorded.did == [
        "up {'product-service': 5}",
        "drain product-service-3 product-service-4 product-service-5",
        "up {'product-service': 2}",
    ]


def test_a_drained_replica_returns_when_the_change_fails(recorded: Recorded):
    recorded.fails = lambda act: act.startswith("up")
    with pytest.raises(NotHealthy):
        change(recorded).scale("product-service", 2)
    assert recorded.did[-1] == "restart product-service-3"


def test_a_world_that_is_not_as_planned_is_not_touched(recorded: Recorded):
    step = World(recorded, ()).plan.replicas[0]
    recorded.preview = Preview(1, (Change(_Step(step.name), "is down"),))
    with pytest.raises(
        TwinstackError, match=r"bridge nginx-lb is down; run .invoke net\.up. first"
    ):
        change(recorded).restart("product-service")
    assert recorded.did == []


class _Step:
    commands = ()

    def __init__(self, name: str) -> None:
        self.name = f"bridge {name}"
