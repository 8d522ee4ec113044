"""The Docker world as it runs: healthy, answering, back after a kill, and observable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from docker.errors import APIError

from tests.support import craft
from tests.support.docker_world import BACK_WITHIN_S, containers, fetch, until
from tests.support.followed_logs import FOLLOW, REQUEST, check_followed
from tests.support.own_engine import ENGINE, INSTANCE, PREFIX, in_namespace
from tests.support.project import ROOT
from tests.support.sandbox import INVOKE
from twinstack.compose.engine import connect
from twinstack.compose.world import DockerWorld
from twinstack.model.plan import Replica
from twinstack.observe.capture.record import capture
from twinstack.observe.capture.targets import CaptureOptions, label
from twinstack.observe.journey.send import follow_request

pytestmark = pytest.mark.docker


def test_cpu_time_and_processes_are_given_for_every_replica(up: DockerWorld):
    names = {replica.name for replica in up.plan.replicas}
    assert set(up.cpu_us()) == names
    assert all(value > 0 for value in up.cpu_us().values())
    assert {process.replica for process in up.processes()} == names


def test_a_command_runs_inside_and_its_exit_code_comes_back(up: DockerWorld):
    assert up.exec("product-service", ["/bin/bash", "-c", "exit 7"]) == 7


def test_links_are_the_bridge_and_both_ends_of_every_pair(up: DockerWorld):
    links = up.links()
    bridge = up.plan.segments[0].docker_bridge
    assert [link.name for link in links if link.kind == "bridge"] == [bridge]
    outer = {link.replica: link for link in links if link.kind == "host end"}
    inner = {link.replica: link for link in links if link.kind == "inside"}
    names = {replica.name for replica in up.plan.replicas}
    assert set(outer) == set(inner) == names
    assert len(links) == 1 + 2 * len(names)
    assert {link.segment for link in links} == {"app"}
    enslaved = json.loads(in_namespace("ip", "-j", "link", "show", "master", bridge))
    assert {link["ifindex"]: link["ifname"] for link in enslaved} == {
        # What the container itself says of the other end of its eth0.
        int(inside(name, "cat", f"/sys/class/net/{inner[name].name}/iflink")): outer[name].name
        for name in names
    }


def test_a_journey_leads_through_the_engines_proxy_to_the_stores_and_back(up: DockerWorld):
    until(lambda: all(state.state == "healthy" for state in up.status()), 30)
    journey = follow_request(up, "/api/products")
    assert (journey.world, journey.status) == ("docker", 200)
    assert sum(step.took_us for step in journey.steps) == pytest.approx(journey.total_us, abs=0.01)
    stages = list(dict.fromkeys(step.stage for step in journey.steps))
    way = ["docker-proxy", "nginx-lb", "api-gateway", "product-service", "redis-cache"]
    assert [stage for stage in stages if stage in way] == way
    for here, there in pairwise(way):
        assert f"{here} → {there}: request" in stages
    assert journey.rewrites == ()  # localhost is the proxy's, which no NAT leads to


def test_captures_of_every_link_hold_what_tshark_counts(up: DockerWorld, tmp_path: Path):
    links = up.links()
    published = up.published("nginx-lb")
    assert published is not None
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            fetch(published.url("/health"))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        result = capture(links, tmp_path / "all", CaptureOptions(seconds=3, files=1))
    finally:
        done.set()
        asking.join()
    assert [link.link for link in result.links] == [label(link) for link in links]
    assert sum(link.dropped for link in result.links) == 0
    edge = [link for link in result.links if link.link.startswith("nginx-lb/")]
    assert len(edge) == 2
    for link in edge:
        assert craft.tshark_counts(Path(link.files[0])) == (link.packets, link.bytes)
        assert link.packets >= 10


def inside(name: str, *command: str) -> str:
    client = connect(ENGINE)
    assert client is not None
    container = client.containers.get(f"twinstack-{INSTANCE}-{name}")
    answer = container.exec_run(list(command)).output
    assert isinstance(answer, bytes)
    return answer.decode()


def test_up_ends_with_every_container_healthy(up: DockerWorld):
    assert {state.name: state.state for state in up.status()} == {
        replica.name: "healthy" for replica in up.plan.replicas
    }


def test_both_published_ports_and_the_edges_address_answer(up: DockerWorld):
    for service in ("nginx-lb", "api-gateway"):
        published = up.published(service)
        assert published is not None
        status, text = fetch(published.url("/api/products"))
        assert (status, len(json.loads(text)["products"]) >= 20) == (200, True)
    assert fetch(up.endpoint("nginx-lb").url("/health"))[0] == 200


def asked_inside(replica: Replica) -> bool:
    """Run a replica's own probe in its container."""
    client = connect(ENGINE)
    assert client is not None
    try:
        container = client.containers.get(f"twinstack-{INSTANCE}-{replica.name}")
        return bool(container.exec_run(list(replica.health.command)).exit_code == 0)
    except APIError:  # it is being started again
        return False


def test_logs_are_followed_through_a_rotation_and_a_kill(up: DockerWorld, tmp_path: Path):
    name = "product-service"
    address = up.published("nginx-lb")
    assert address is not None
    until(lambda: all(state.state == "healthy" for state in up.status()), 30)

    def ask() -> str:
        words = ("-o", "/dev/null", "-w", "%header{x-served-by}", "-H", f"X-Request-ID: {REQUEST}")
        return in_namespace("curl", "-sS", "-m", "9", *words, address.url("/api/products"))

    def rotate() -> None:  # by the engine, at 10 MB
        with Path(f"/proc/{up.main_pids()[name]}/fd/1").open("w") as output:
            output.write(("x" * 1999 + "\n") * 5_500)
        until(lambda: Path(containers()[name]["LogPath"] + ".1").exists(), 30)

    def kill() -> None:
        killed = up.main_pids()[name]
        os.kill(killed, signal.SIGKILL)
        until(lambda: up.main_pids().get(name) not in {None, killed}, BACK_WITHIN_S)
        until(lambda: all(state.state == "healthy" for state in up.status()), 30)

    environment = {**os.environ, "DOCKER_HOST": ENGINE.url, "TWINSTACK_INSTANCE": INSTANCE}
    command = [*PREFIX, INVOKE, "docker.logs", *FOLLOW]
    check_followed(command, environment, tmp_path / "out", ask, rotate, kill)
    shown = subprocess.run(
        [*PREFIX, INVOKE, "docker.logs", "redis-cache", "product-service-2", "-n", "4"],
        env=environment,
        cwd=ROOT,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.splitlines()
    names = sorted(line.split(" |")[0].strip() for line in shown)
    assert names == ["product-service-2"] * 4 + ["redis-cache"] * 4


@pytest.mark.parametrize(
    "name",
    [
        "nginx-lb",
        "api-gateway",
        "product-service-2",
        "order-service",
        "service-registry",
        "redis-cache",
        "postgres-db",
    ],
)
def test_a_killed_service_is_back_and_healthy_within_five_seconds(up: DockerWorld, name: str):
    def state() -> tuple[int | None, str]:
        replica = next(state for state in up.status() if state.name == name)
        return replica.pid, replica.state

    until(lambda: state()[1] == "healthy", 20)
    pid = state()[0]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), 1)
    # The service's own word, from inside, where the policy is not: the engine looks every two
    # seconds only.
    until(lambda: asked_inside(up.plan.replica(name)), BACK_WITHIN_S)
    assert state()[0] not in {pid, None}
    until(lambda: state()[1] == "healthy", 20)


def test_stopping_postgresql_turns_the_order_service_unhealthy_and_back(up: DockerWorld):
    def order() -> str:
        return next(state.state for state in up.status() if state.name == "order-service")

    client = connect(ENGINE)
    assert client is not None
    until(lambda: order() == "healthy", 20)
    postgres = client.containers.get(containers()["postgres-db"]["Id"])
    postgres.stop(timeout=10)
    try:
        until(lambda: order() == "unhealthy", 30)
    finally:
        postgres.start()
    until(lambda: order() == "healthy", 30)
