"""The Docker world on a real engine: up, repaired, refused, down, in another shape."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.docker_world import UP_TIMEOUT_S, containers, fetch, until
from tests.support.own_engine import (
    ENGINE,
    INSTANCE,
    PREFIX,
    in_namespace,
    is_ours,
    print_nothing,
    world,
)
from twinstack.compose.engine import connect
from twinstack.compose.world import DockerWorld
from twinstack.errors import Locked, NotHealthy, NotOurs
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths

pytestmark = pytest.mark.docker


def test_an_engine_is_started_when_none_answers_and_says_so(start_progress: list[str]):
    assert is_ours(ENGINE)
    assert "none answers" in start_progress[0]
    assert "starting dockerd" in start_progress[0]


def test_a_second_up_recreates_nothing(up: DockerWorld):
    before = {name: container["Id"] for name, container in containers().items()}
    progress: list[str] = []
    up.up(timeout_s=UP_TIMEOUT_S, progress=progress.append)
    assert {name: container["Id"] for name, container in containers().items()} == before
    assert not any("building" in line for line in progress)
    assert sum("unchanged" in line for line in progress) == len(before)


def test_a_container_removed_by_hand_is_put_back_and_no_other_touched(up: DockerWorld):
    before = {name: container["Id"] for name, container in containers().items()}
    client = connect(ENGINE)
    assert client is not None
    client.containers.get(before["service-registry"]).remove(force=True)
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    after = {name: container["Id"] for name, container in containers().items()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"service-registry"}


def test_a_second_command_names_who_holds_the_instance(up: DockerWorld):
    with (
        locked(InstancePaths(INSTANCE), "docker"),
        pytest.raises(Locked, match=f"by pid {os.getpid()}"),
    ):
        up.up(timeout_s=1, progress=print_nothing)


GET_METRICS = r"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n"


def test_metrics_are_for_a_client_in_the_container_alone(up: DockerWorld):
    for service in ("api-gateway", "nginx-lb"):
        published = up.published(service)
        assert published is not None
        assert fetch(published.url("/metrics"))[0] == 404
    for service in ("api-gateway", "product-service", "order-service", "service-registry"):
        port = up.endpoint(service).port
        ask = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{GET_METRICS}' >&3"
        seek = "grep -q ^process_start_time_seconds <&3"
        assert up.exec(service, ["/bin/bash", "-c", f"{ask}; {seek}"]) == 0


def test_orders_survive_down_and_up_in_another_shape_whose_tiers_do_not_meet(up: DockerWorld):
    published = up.published("api-gateway")
    assert published is not None
    order = json.dumps({"items": [{"product_id": 1, "quantity": 1}]})
    session = json.loads(fetch(published.url("/api/cart"))[1])["session"]
    status, text = fetch(published.url("/api/orders"), "POST", order, session)
    assert status == 201, text
    made = json.loads(text)["id"]
    removed = up.down(progress=print_nothing)
    assert len([name for name in removed if name.startswith("container ")]) == len(up.plan.replicas)

    tiered = world("tiered")
    tiered.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    assert fetch(published.url(f"/api/orders/{made}"), session=session)[0] == 200
    client = connect(ENGINE)
    assert client is not None
    names = sorted(str(network.name) for network in client.networks.list())
    assert [name for name in names if "twinstack" in name] == [
        f"twinstack-{INSTANCE}_{tier}" for tier in ("backend", "database", "frontend")
    ]
    redis = tiered.endpoint("redis-cache")
    knock = f"exec 3<>/dev/tcp/{redis.address}/{redis.port}"
    knocking = ["/usr/bin/timeout", "2", "/bin/bash", "-c", knock]
    assert tiered.exec("product-service", knocking) == 0
    assert tiered.exec("nginx-lb", knocking) != 0


def test_a_foreign_container_and_a_listener_stop_up_before_anything_changes(up: DockerWorld):
    client = connect(ENGINE)
    assert client is not None
    up.down(progress=print_nothing)
    published = up.plan.published_port("docker", "nginx-lb")
    assert published is not None
    foreign = client.containers.create(
        "twinstack-base-nginx:host", ["/bin/true"], name=f"twinstack-{INSTANCE}-redis-cache"
    )
    listen = f"import socket; s = socket.create_server(('0.0.0.0', {published.port})); s.accept()"
    listener = subprocess.Popen([*PREFIX, sys.executable, "-c", listen])
    try:
        until(lambda: f":{published.port}" in in_namespace("ss", "-ltn"), 5)
        with pytest.raises(Exception, match="redis-cache: is not ours") as caught:
            up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
        assert f"port {published.port}: is taken" in str(caught.value)
        assert containers() == {}
        for act in (up.stop, partial(up.exec, command=["/bin/true"])):
            with pytest.raises(NotOurs, match="redis-cache: is not ours: it lacks our label"):
                act("redis-cache")
        assert up.log_names() == ()
        foreign.remove()
        with pytest.raises(NotOurs, match=f"port {published.port}: is taken"):
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
