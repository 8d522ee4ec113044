"""From one topology to another: only what changed is replaced; the end is as deployed fresh.

Another shape changes every address, and an address is part of a container's definition: it makes
all containers new. So does an edit of the template. All else touches the service that it names.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.docker_steps import INSTANCE, Edit, client_of, identities, small, up, world

pytestmark = pytest.mark.docker
SEED, MANY = 5, 20
SERVICES = ("product-service", "order-service", "api-gateway")


@pytest.fixture(scope="module")
def deployed(images: None) -> None:
    up(world("tiered"))


@pytest.fixture(scope="module")
def flat(deployed: None) -> None:
    """Have the flat shape: as the first test leaves it."""
    if world().preview().changes:
        up(world())


def replicas(count: int) -> Edit:
    def edit(written: dict[str, Any]) -> None:
        small(written)
        service = written["services"]["product-service"]
        service["replicas"] = count  # beyond the addresses of the table, from the pool

    return edit


def limit(service: str, memory: str, count: int = 1) -> Edit:
    def edit(written: dict[str, Any]) -> None:
        replicas(count)(written)
        written["services"][service]["limits"]["memory"] = memory

    return edit


def touched_by(edit: Edit, shape: str = "flat") -> set[str]:
    """Go over to an edited topology; give the containers that are new, gone or started again."""
    before = identities(client_of())
    decided = world(shape, edit).preview().changes
    up(world(shape, edit))
    assert world(shape, edit).preview().changes == ()
    after = identities(client_of())
    touched = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    names = (change.step.name for change in decided)
    assert touched == {
        name.removeprefix("container ").partition(" to ")[0].partition(":")[0]
        for name in names
        if name.startswith("container ")
    }
    prefix = f"twinstack-{INSTANCE}-"
    expected = {replica.name for replica in world(shape, edit).plan.replicas}
    assert {name.removeprefix(prefix) for name in after} == expected
    return {name.removeprefix(prefix) for name in touched}


def networks() -> set[str]:
    found = client_of().api.networks(names=[f"twinstack-{INSTANCE}"])
    return {name["Name"].removeprefix(f"twinstack-{INSTANCE}_") for name in found}


def test_another_shape_makes_every_container_new(deployed: None, full: bool):
    names = {replica.name for replica in world().plan.replicas}
    assert touched_by(small, "flat") == names
    assert networks() == {"app"}
    if full:
        assert touched_by(small, "tiered") == names
        assert networks() == {"frontend", "backend", "database"}
        assert touched_by(small, "flat") == names


def test_one_replica_more_and_one_less_touch_no_other(flat: None):
    assert touched_by(small) == set()
    assert touched_by(replicas(2)) == {"product-service-2"}
    assert touched_by(small) == {"product-service-2"}


def test_another_limit_touches_the_service_that_has_it(flat: None):
    assert touched_by(limit("order-service", "200M")) == {"order-service"}
    assert touched_by(small) == {"order-service"}


def test_what_was_altered_by_hand_is_put_right_and_nothing_else(flat: None):
    client = client_of()
    prefix = f"twinstack-{INSTANCE}"
    alterations: dict[str, Callable[[Any], object]] = {
        "redis-cache": lambda container: container.pause(),
        "order-service": lambda container: container.update(mem_limit="300m", memswap_limit="300m"),
        "service-registry": lambda container: container.stop(timeout=5),
        "api-gateway": lambda container: client.networks.get(f"{prefix}_app").disconnect(container),
        "nginx-lb": lambda container: container.remove(force=True),
    }
    for name, alter in alterations.items():
        alter(client.containers.get(f"{prefix}-{name}"))
    assert touched_by(small) == set(alterations)


def test_random_transitions_end_as_planned_and_touch_what_they_must(
    flat: None, full: bool, tell: Callable[[str], None]
):
    chance = random.Random(SEED)
    shape = "flat"
    steps = MANY if full else 1
    for _ in range(steps):
        shape = chance.choice(("flat", "flat", "tiered")) if full else shape
        count = chance.randint(1, 4)
        memory = f"{chance.randint(160, 260)}M"
        touched_by(limit(chance.choice(SERVICES), memory, count), shape)
    tell(f"docker.up: {steps} random transitions")
