"""A release changes replica after replica, and takes back what it changed when anything fails.

What it costs a request is measured on real worlds: tests/checks/test_release.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bench_fakes import TOPOLOGY, FakeWorld, quiet
from twinstack.errors import NotHealthy, StepFailed, TwinstackError
from twinstack.live_change import rolling
from twinstack.live_change.release import How, Opinion, Releasing
from twinstack.live_change.rolling import Rolling
from twinstack.model import releases
from twinstack.model.plan import resolve
from twinstack.model.releases import Releases, ServiceRelease
from twinstack.model.scale import Scale
from twinstack.reconcile import Progress
from twinstack.software import versions
from twinstack.world import LocalWorld, ServiceState

NEW = "aaaaaaaaaaaa"
PRODUCTS = ("product-service", "product-service-2", "product-service-3")


class Recorded:
    """A world that keeps its records and notes what is done to it."""

    def __init__(self) -> None:
        self.scale: Scale = ()
        self.releases: Releases = ()
        self.did: list[str] = []
        self.fails: Callable[[str], bool] = lambda _act: False
        self.opinion: Opinion = "not worse"

    def act(self, act: str) -> None:
        self.did.append(act)
        if self.fails(act):
            raise NotHealthy(act, "is unhealthy")

    def at(self, scale: Scale | None = None, releases: Releases | None = None) -> World:
        scale = self.scale if scale is None else scale
        return World(self, scale, self.releases if releases is None else releases)

    def judge(self, world: LocalWorld, canaries: frozenset[str], others: frozenset[str]) -> Opinion:
        self.act(f"judge {' '.join(sorted(canaries))} | {' '.join(sorted(others))}")
        return self.opinion

    @property
    def versions(self) -> list[str]:
        """The version of each product-service."""
        return [each.version for each in self.at().plan.replicas_of("product-service")]


class World(FakeWorld):
    def __init__(self, recorded: Recorded, scale: Scale, releases: Releases) -> None:
        super().__init__("net", 1, resolve(TOPOLOGY, scale=scale, released=releases))
        self.recorded = recorded

    def main_pids(self) -> dict[str, int]:
        services = (each for each in self.plan.replicas if each.runtime == "wsgi")
        return {replica.name: number for number, replica in enumerate(services, 1)}

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        self.recorded.scale, self.recorded.releases = self.plan.scale, self.plan.releases
        own = [each.version[:1] or "-" for each in self.plan.replicas_of("product-service")]
        orders = [each.version[:1] or "-" for each in self.plan.replicas_of("order-service")]
        self.recorded.act(f"up {''.join(own)} {''.join(orders)}")
        return self.status()

    def restart(self, replica: str, *, timeout_s: float, progress: Progress) -> None:
        self.recorded.act(f"restart {replica}")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    made = Recorded()

    def drain(_world: object, names: set[str]) -> None:
        made.act(f"drain {' '.join(sorted(names))}")

    monkeypatch.setattr(rolling, "drain", drain)
    monkeypatch.setattr(rolling, "await_listed", lambda *_: None)
    monkeypatch.setattr(versions, "check_source", lambda *_: None)
    monkeypatch.setattr(versions, "name_of", lambda _: NEW)
    monkeypatch.setattr(versions, "keep", lambda *_: NEW)
    return made


def releasing(recorded: Recorded) -> Releasing:
    rolled = Rolling(TOPOLOGY, recorded.at, 1, quiet)
    return Releasing(rolled, Path("/nonexistent"), recorded.judge)


def release(
    recorded: Recorded, how: How = "rolling", service: str = "product-service", share: int = 1
) -> Opinion:
    return releasing(recorded).release(service, Path("/other/services"), how, share=share)


ROLLED = [
    *("drain product-service", "up a-- -"),
    *("drain product-service-2", "up aa- -"),
    *("drain product-service-3", "up aaa -"),
    "up aaa -",  # what it might have been taken back to is forgotten
]


def test_rolling_drains_and_replaces_one_replica_after_another(recorded: Recorded) -> None:
    assert release(recorded) == "not worse"
    assert recorded.did == ROLLED
    assert recorded.releases == (ServiceRelease("product-service", (NEW,)),)


def test_a_replica_that_is_not_healthy_takes_all_back(recorded: Recorded) -> None:
    recorded.fails = lambda act: act == "up aa- -"
    with pytest.raises(NotHealthy):
        release(recorded)
    assert recorded.did[4:] == [
        "restart product-service-2",  # it was drained, and still ran
        *("drain product-service", "up -a- -"),
        *("drain product-service-2", "up --- -"),
        "up --- -",
    ]
    assert recorded.releases == ()


def test_what_cannot_be_drained_is_taken_back_all_the_same(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drain(_world: object, names: set[str]) -> None:
        if recorded.did:  # the first one goes well, and is stuck from then on
            raise StepFailed(", ".join(names), "is listed")

    monkeypatch.setattr(rolling, "drain", drain)
    with pytest.raises(StepFailed):
        release(recorded)
    assert recorded.versions == ["", "", ""]


def test_an_only_replica_has_one_of_the_new_version_beside_it(recorded: Recorded) -> None:
    release(recorded, service="order-service")
    assert recorded.did == [
        "up --- -a",
        *("drain order-service", "up --- aa"),
        *("drain order-service-2", "up --- a"),
        "up --- a",
    ]
    assert recorded.scale == ()


BLUE_GREEN = [
    "up ---aaa -",
    "drain product-service product-service-2 product-service-3",
    "up aaaaaa -",
    "drain product-service-4 product-service-5 product-service-6",
    "up aaa -",
    "up aaa -",
]


def test_green_replicas_take_over_from_all_blue_ones_at_once(recorded: Recorded) -> None:
    assert release(recorded, "blue-green") == "not worse"
    assert recorded.did == BLUE_GREEN
    assert (recorded.scale, recorded.versions) == ((), [NEW] * 3)


def test_green_replicas_that_are_not_healthy_go_and_blue_ones_serve_on(recorded: Recorded) -> None:
    recorded.fails = lambda act: act == "up ---aaa -"
    with pytest.raises(NotHealthy):
        release(recorded, "blue-green")
    greens = "drain product-service-4 product-service-5 product-service-6"
    assert recorded.did == ["up ---aaa -", greens, "up --- -"]


def test_blue_replicas_return_when_green_ones_are_ill_without_them(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "status", lambda self: ill(FakeWorld.status(self)))
    with pytest.raises(NotHealthy, match="product-service-5: is unhealthy"):
        release(recorded, "blue-green")
    assert recorded.did[2:5] == [f"restart {name}" for name in PRODUCTS]
    assert recorded.did[-1] == "up --- -"


def ill(states: tuple[ServiceState, ...]) -> tuple[ServiceState, ...]:
    from dataclasses import replace

    return tuple(
        replace(state, state="unhealthy") if state.name == "product-service-5" else state
        for state in states
    )


JUDGED = "judge product-service | product-service-2 product-service-3"


@pytest.mark.parametrize(
    ("opinion", "did", "ends_with"),
    [
        ("not worse", ROLLED[2:], [NEW, NEW, NEW]),
        ("cannot tell", ["up a-- -"], [NEW, "", ""]),
        ("worse", ["drain product-service", "up --- -", "up --- -"], ["", "", ""]),
    ],
)
def test_a_canary_goes_on_stays_or_is_taken_back(
    recorded: Recorded, opinion: Opinion, did: list[str], ends_with: list[str]
) -> None:
    recorded.opinion = opinion
    assert release(recorded, "canary") == opinion
    assert recorded.did == [*ROLLED[:2], JUDGED, *did]
    assert recorded.versions == ends_with


def test_a_canary_that_stayed_goes_on_from_where_it_is(recorded: Recorded) -> None:
    recorded.opinion = "cannot tell"
    release(recorded, "canary")
    recorded.did.clear()
    release(recorded)
    assert recorded.did == ROLLED[2:]


def test_what_a_killed_command_left_drained_returns_first(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "unlisted", lambda *_: ("product-service-2",))
    release(recorded)
    assert recorded.did == ["restart product-service-2", *ROLLED]


def test_a_rollback_returns_to_the_version_from_before(recorded: Recorded) -> None:
    before = ServiceRelease("product-service", ("b" * 12,))
    recorded.releases = (before,)
    release(recorded)
    recorded.did.clear()
    releasing(recorded).roll_back("product-service")
    assert recorded.did == [
        *("drain product-service", "up baa -"),
        *("drain product-service-2", "up bba -"),
        *("drain product-service-3", "up bbb -"),
        "up bbb -",
    ]
    assert releases.of(recorded.releases, "product-service").versions == before.versions
    with pytest.raises(TwinstackError, match="no other version was released"):
        releasing(recorded).roll_back("product-service")


@pytest.mark.parametrize("fails", ["up abb -", "up aaa -"])
def test_what_a_release_is_taken_back_to_is_named_until_it_is_over(
    recorded: Recorded, fails: str
) -> None:
    canary, older = ServiceRelease("product-service", ("c" * 12, "b" * 12), "d" * 12), "d" * 12
    recorded.releases = (canary,)
    named = []

    def fail(act: str) -> bool:
        named.append(releases.named(recorded.releases))
        return act == fails

    recorded.fails = fail
    with pytest.raises(NotHealthy):
        release(recorded)
    assert all({"c" * 12, "b" * 12, older} <= each for each in named)
    assert recorded.releases == (canary,)


def test_a_version_that_every_replica_runs_is_not_released_again(recorded: Recorded) -> None:
    release(recorded)
    with pytest.raises(TwinstackError, match="product-service runs it"):
        release(recorded)


@pytest.mark.parametrize("how", ["rolling", "blue-green", "canary"])
def test_what_cannot_be_is_refused_before_anything_is_done(recorded: Recorded, how: How) -> None:
    with pytest.raises(TwinstackError, match="it cannot be drained"):
        release(recorded, how, "redis-cache")
    with pytest.raises(TwinstackError, match="one must stay"):
        release(recorded, "canary", share=3)
    assert recorded.did == []
