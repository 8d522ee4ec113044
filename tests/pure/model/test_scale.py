"""A scale is what differs from the declared numbers; what has one place cannot be scaled."""

from __future__ import annotations

import pytest

from tests.support.bench_fakes import TOPOLOGY
from twinstack.errors import TopologyError, TwinstackError
from twinstack.model import scale
from twinstack.model.plan import resolve


def test_a_scale_replaces_a_declared_number_and_nothing_else() -> None:
    plan = resolve(TOPOLOGY, scale=(("product-service", 5),))
    names = [replica.name for replica in plan.replicas_of("product-service")]
    assert names[3:] == ["product-service-4", "product-service-5"]
    assert plan.scale == (("product-service", 5),)
    declared = resolve(TOPOLOGY)
    assert set(declared.replicas) < set(plan.replicas)


def test_scaling_to_the_declared_number_leaves_nothing_to_remember() -> None:
    more = scale.changed(TOPOLOGY, (), "product-service", 5)
    both = scale.changed(TOPOLOGY, more, "order-service", 2)
    assert both == (("order-service", 2), ("product-service", 5))
    assert scale.changed(TOPOLOGY, both, "product-service", 3) == (("order-service", 2),)


def test_a_service_that_is_declared_no_longer_is_left_out() -> None:
    former = (("search-service", 4),)
    assert scale.scaled(TOPOLOGY, former) == TOPOLOGY
    assert scale.changed(TOPOLOGY, former, "order-service", 2) == (("order-service", 2),)


@pytest.mark.parametrize(
    ("service", "replicas", "message"),
    [
        ("redis-cache", 2, "a store's data is in one place"),
        ("postgres-db", 2, "a store's data is in one place"),
        ("service-registry", 2, "its table is one process's own"),
        ("nginx-lb", 2, "it is the one door"),
        ("api-gateway", 2, "nginx learns of its gateways only when it starts"),
        ("order-service", 0, "a service has at least one replica"),
        ("orders", 2, "there are nginx-lb"),
    ],
)
def test_what_cannot_be_scaled_says_why(service: str, replicas: int, message: str) -> None:
    with pytest.raises(TwinstackError, match=message):
        scale.changed(TOPOLOGY, (), service, replicas)


def test_more_replicas_than_addresses_are_refused() -> None:
    with pytest.raises(TopologyError, match="replicas have no address"):
        scale.changed(TOPOLOGY, (), "order-service", 200)


@pytest.mark.parametrize(
    "word", ["", "order-service", "=2", "order-service=", "a=-1", "a=\u0663", "a=1e3"]
)
def test_a_word_that_is_no_scale_is_refused(word: str) -> None:
    with pytest.raises(TwinstackError, match="write SERVICE=N"):
        scale.parse(word)


def test_a_word_names_a_service_and_a_number() -> None:
    assert scale.parse("product-service=5") == ("product-service", 5)
