"""The Docker world on a real engine: up, repaired, refused, down, in another shape."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.docker_world import UP_TIMEOUT_S, containers, fetch, until
from tests.support.own_engine import ENGINE, INSTANCE, PREFIX, in_namespace, print_nothing, world
from twinstack.compose.engine import connect, is_ours
from twinstack.compose.world import DockerWorld
from twinstack.errors import Locked, NotHealthy, NotOurs
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths

pytestmark = pytest.mark.docker


def test_an_engine_is_started_when_none_answers_and_says_so(said_at_start: list[str]):
    assert is_ours(ENGINE)
    assert "none answers" in said_at_start[0]
    assert "starting dockerd" in said_at_start[0]


def test_a_second_up_recreates_nothing(up: DockerWorld):
    before = {name: one["Id"] for name, one in containers().items()}
    said: list[str] = []
    up.up(timeout_s=UP_TIMEOUT_S, progress=said.append)
    assert {name: one["Id"] for name, one in containers().items()} == before
    assert not any("building" in line for line in said)
    assert sum("unchanged" in line for line in said) == len(before)


def test_a_container_removed_by_hand_is_put_back_and_no_other_touched(up: DockerWorld):
    before = {name: one["Id"] for name, one in containers().items()}
    client = connect(ENGINE)
    assert client is not None
    client.containers.get(before["service-registry"]).remove(force=True)
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    after = {name: one["Id"] for name, one in containers().items()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"service-registry"}


def test_a_second_command_is_told_who_holds_the_instance(up: DockerWorld):
    with (
        locked(InstancePaths(INSTANCE), "docker"),
        pytest.raises(Locked, match=f"by pid {os.getpid()}"),
    ):
        up.up(timeout_s=1, progress=print_nothing)


def test_orders_survive_down_and_up_in_another_shape_whose_tiers_do_not_meet(up: DockerWorld):
    door = up.published("api-gateway")
    assert door is not None
    order = json.dumps({"items": [{"product_id": 1, "quantity": 1}]})
    status, text = fetch(door.url("/api/orders"), "POST", order)
    assert status == 201, text
    made = json.loads(text)["id"]
    removed = up.down(progress=print_nothing)
    assert len([one for one in removed if one.startswith("container ")]) == len(up.plan.replicas)

    tiered = world("tiered")
    tiered.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    assert fetch(door.url(f"/api/orders/{made}"))[0] == 200
    client = connect(ENGINE)
    assert client is not None
    names = sorted(str(one.name) for one in client.networks.list())
    assert [name for name in names if "twinstack" in name] == [
        f"twinstack-{INSTANCE}_{tier}" for tier in ("backend", "database", "frontend")
    ]
    redis = tiered.endpoint("redis-cache")
    knock = f"exec 3<>/dev/tcp/{redis.address}/{redis.port}"
    knocking = ["/usr/bin/timeout", "2", "/bin/bash", "-c", knock]
    assert tiered.exec("product-service", knocking) == 0
    assert tiered.exec("nginx-lb", knocking) != 0

    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    assert fetch(door.url(f"/api/orders/{made}"))[0] == 200
    names = sorted(str(one.name) for one in client.networks.list())
    assert [name for name in names if "twinstack" in name] == [f"twinstack-{INSTANCE}_app"]


def test_a_strangers_container_and_listener_stop_up_before_anything_changes(up: DockerWorld):
    client = connect(ENGINE)
    assert client is not None
    up.down(progress=print_nothing)
    door = up.plan.published_port("docker", "nginx-lb")
    assert door is not None
    stranger = client.containers.create(
        "twinstack-base-nginx:host", ["/bin/true"], name=f"twinstack-{INSTANCE}-redis-cache"
    )
    listen = f"import socket; s = socket.create_server(('0.0.0.0', {door.port})); s.accept()"
    listener = subprocess.Popen([*PREFIX, sys.executable, "-c", listen])
    try:
        until(lambda: f":{door.port}" in in_namespace("ss", "-ltn"), 5)
        with pytest.raises(Exception, match="redis-cache: is not ours") as caught:
            up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
        assert f"port {door.port}: is taken" in str(caught.value)
        assert containers() == {}
        stranger.remove()
        with pytest.raises(NotOurs, match=f"port {door.port}: is taken"):
            up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    finally:
        listener.kill()
        listener.wait()
    assert containers() == {}


def test_a_service_that_does_not_come_up_is_named_with_the_end_of_its_log(up: DockerWorld):
    # A cluster of a release that does not exist: PostgreSQL says so and exits.
    client = connect(ENGINE)
    assert client is not None
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    up.down(progress=print_nothing)
    volume = client.volumes.get(f"twinstack-{INSTANCE}-postgres-db-data")
    version = Path(volume.attrs["Mountpoint"]) / "PG_VERSION"
    right = version.read_text()
    version.write_text("9\n")
    try:
        with pytest.raises(NotHealthy, match="postgres-db: is") as caught:
            up.up(timeout_s=12, progress=print_nothing)
        assert "PostgreSQL version 9" in str(caught.value)
        assert "invoke docker.logs postgres-db" in str(caught.value)
    finally:
        version.write_text(right)
