"""A release is a record of which replica runs which version; each record changes one replica."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bench_fakes import TOPOLOGY
from twinstack.errors import TwinstackError
from twinstack.model import releases
from twinstack.model.plan import resolve
from twinstack.model.releases import CHECKOUT, ServiceRelease

NEW, OLD = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
PRODUCTS = ServiceRelease("product-service", (CHECKOUT,))
VERSIONS = st.sampled_from((CHECKOUT, NEW, OLD))
RELEASES = st.builds(
    ServiceRelease,
    st.just("product-service"),
    st.lists(VERSIONS, min_size=1, max_size=5).map(tuple),
    VERSIONS,
)


def run(release: ServiceRelease, total: int) -> list[str]:
    """Give the version of each replica."""
    return [release.version(number) for number in range(1, total + 1)]


def test_a_plan_gives_each_replica_the_version_of_its_record() -> None:
    record = (ServiceRelease("product-service", (NEW, CHECKOUT)),)
    plan = resolve(TOPOLOGY, released=record)
    versions = [replica.version for replica in plan.replicas_of("product-service")]
    assert versions == [NEW, CHECKOUT, CHECKOUT]
    assert {each.version for each in plan.replicas if each.service != "product-service"} == {""}
    assert plan.releases == record


def test_a_further_replica_runs_what_the_last_one_does() -> None:
    scale = (("product-service", 5),)
    plan = resolve(TOPOLOGY, scale=scale, released=(ServiceRelease("product-service", (NEW,)),))
    assert {replica.version for replica in plan.replicas_of("product-service")} == {NEW}


def test_a_service_that_is_declared_no_longer_is_left_out() -> None:
    assert resolve(TOPOLOGY, released=(ServiceRelease("gone", (NEW,)),)).replicas == (
        resolve(TOPOLOGY).replicas
    )


@given(RELEASES, VERSIONS, st.integers(1, 6))
def test_rolling_changes_one_replica_at_a_time_until_all_run_the_version(
    release: ServiceRelease, version: str, total: int
) -> None:
    before = run(release, total)
    for record in releases.rolling(release, version, total):
        after = run(record, total)
        assert sum(old != new for old, new in zip(before, after, strict=True)) <= 1
        before = after
    assert before == [version] * total
    assert record.complete
    assert record.before == release.before


def test_canaries_are_the_first_replicas_and_change_no_other() -> None:
    *_, last = releases.canaries(PRODUCTS, NEW, 3, 2)
    assert run(last, 4) == [NEW, NEW, CHECKOUT, CHECKOUT]
    assert list(releases.canaries(last, NEW, 3, 2)) == []


def test_a_rollback_returns_to_the_version_from_before() -> None:
    first = releases.completed(releases.begun(PRODUCTS), NEW)
    second = releases.begun(first)
    assert (first.before, second.before) == (CHECKOUT, NEW)
    halfway = next(releases.rolling(second, OLD, 3))
    assert releases.begun(halfway).before == NEW
    *_, back = releases.rolling(halfway, halfway.before, 3)
    assert run(back, 3) == [NEW] * 3
    with pytest.raises(TwinstackError, match="no other version was released"):
        releases.check_released(back)


def test_a_record_that_says_nothing_is_not_kept() -> None:
    orders = ServiceRelease("order-service", (NEW,))
    kept = releases.recorded((orders,), ServiceRelease("product-service", (NEW, OLD)))
    assert releases.named(kept) == {NEW, OLD}
    assert releases.recorded(kept, PRODUCTS) == (orders,)
    assert releases.of(kept, "nginx-lb") == ServiceRelease("nginx-lb", (CHECKOUT,))


def test_what_a_rollback_needs_is_named() -> None:
    assert releases.named((ServiceRelease("order-service", (NEW,), before=OLD),)) == {NEW, OLD}


@pytest.mark.parametrize(
    "service", ["nginx-lb", "api-gateway", "service-registry", "redis-cache", "orders"]
)
def test_what_cannot_be_drained_is_not_released(service: str) -> None:
    with pytest.raises(TwinstackError, match=r"it cannot be drained|is no service"):
        releases.check(TOPOLOGY, service)
    releases.check(TOPOLOGY, "product-service")


@pytest.mark.parametrize(("share", "total"), [(0, 3), (3, 3), (1, 1)])
def test_a_canary_leaves_a_replica_to_be_compared_with(share: int, total: int) -> None:
    with pytest.raises(TwinstackError, match="one must stay"):
        releases.check_share(share, total, "order-service")
    releases.check_share(2, 3, "order-service")
