"""What a replica runs is read without its secrets, and compared without its own addresses."""

from __future__ import annotations

from tests.support.bench_fakes import PLAN
from twinstack.model.topology import WorldName
from twinstack.observe.fingerprint import process

POSTGRES = {
    10: (1, "postgres -D /data"),
    11: (10, "postgres: checkpointer "),
    12: (10, "postgres: autovacuum launcher"),
    13: (10, "postgres: shop shop 10.0.0.30(50468) idle"),
    14: (10, "postgres: autovacuum worker shop"),
    15: (10, "postgres: shop shop [local] idle"),
    20: (2, "a probe of the engine's"),
    21: (11, "a grandchild"),
}
WORLDS: tuple[WorldName, ...] = ("net", "docker")
NET, DOCKER = process.renaming(PLAN, "net"), process.renaming(PLAN, "docker")


def test_lasting_descendants_are_counted_and_clients_and_probes_are_not() -> None:
    assert process.family(10, POSTGRES) == [10, 11, 12, 21]


def test_own_addresses_are_names_and_those_of_the_other_world_are_not() -> None:
    net, docker = (str(PLAN.replica("redis-cache").address_in(world)) for world in WORLDS)
    assert (
        NET(f"redis://{net}:6379") == DOCKER(f"redis://{docker}:6379") == "redis://redis-cache:6379"
    )
    assert NET(docker) == docker
    subnets = [str(PLAN.segments[0].subnet_in(world)) for world in WORLDS]
    assert NET(subnets[0]) == DOCKER(subnets[1]) == f"{PLAN.segments[0].name}/24"
    assert NET("8.8.8.8 10.0.0.300") == "8.8.8.8 10.0.0.300"


def test_an_environment_has_no_secret_and_no_undeclared_text() -> None:
    text = "LANG=C\0PGPASSWORD=hush\0EXTRA=hush\0HOSTNAME=web\0TWINSTACK_ADDRESS=10.0.0.50\0\0"
    found = process.environment(text, frozenset({"LANG", "TWINSTACK_ADDRESS"}), NET, {"web": "own"})
    assert found.pop("env.EXTRA").startswith("#")
    assert found == {
        "env.LANG": "C",
        "env.PGPASSWORD": "set",
        "env.HOSTNAME": "own",
        "env.TWINSTACK_ADDRESS": "redis-cache",
    }


def test_names_are_compared_in_any_order_and_without_comments() -> None:
    text = "# ours\n::1 localhost\n10.0.0.50\tredis-cache  # one\n127.0.0.1 localhost\n"
    assert process.name_entries(text, NET) == "127.0.0.1=localhost redis-cache=redis-cache"
    assert process.name_entries("", NET) == "none"
