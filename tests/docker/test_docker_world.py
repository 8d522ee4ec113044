"""The Docker world on a real engine: up, healthy, hardened, repaired, down, and gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.docker.own_engine import (
    INSTANCE,
    PLACE,
    PREFIX,
    REPOSITORY,
    in_namespace,
    print_nothing,
    world,
)
from twinstack.compose import leftovers
from twinstack.compose.client import compose_program
from twinstack.compose.engine import connect, ensure_engine, is_ours
from twinstack.compose.render import project_name, render_files, state_directory
from twinstack.compose.world import DockerWorld
from twinstack.errors import Locked, NotHealthy, NotOurs
from twinstack.software.building import mounts_beneath
from twinstack.software.facts import software_of_tree
from twinstack.software.roots import ensure_roots, recipe_for
from twinstack.state import Places, locked

pytestmark = pytest.mark.docker
UP_TIMEOUT_S = 90.0
BACK_WITHIN_S = 5.0

_FETCH = """
import sys, urllib.error, urllib.request
method, url, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None, {"Content-Type": "application/json"},
                                 method=method)
try:
    with urllib.request.urlopen(request, timeout=5) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
except OSError as error:
    print(0, error)
"""

# Asks the service itself, until it answers as a healthy one does. PostgreSQL greets a client with
# R (authentication) only once it accepts connections, Redis refuses one without a password with
# -NOAUTH only once it has loaded its data (-LOADING before).
_BACK = """
import socket, sys, time
kind, address, port, within_s = sys.argv[1:]
words = {
    "redis": (b"PING\\r\\n", b"-NOAUTH"),
    "postgres": (b"\\0\\0\\0\\x21\\0\\3\\0\\0user\\0shop\\0database\\0shop\\0\\0", b"R"),
}
http = b"GET /health HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n"
ask, wanted = words.get(kind, (http, b" 200 "))
start, seen = time.monotonic(), b""
while time.monotonic() - start < float(within_s):
    try:
        with socket.create_connection((address, int(port)), timeout=1) as connection:
            connection.sendall(ask)
            seen = connection.recv(100)
            if wanted in seen[:15]:
                sys.exit(0)
    except OSError as error:
        seen = str(error).encode()
    time.sleep(0.05)
sys.exit(f"not within {within_s} s: {seen!r}")
"""


def fetch(url: str, method: str = "GET", body: str = "") -> tuple[int, str]:
    """Ask a URL from the tests' host; status 0 for no answer."""
    words = in_namespace(sys.executable, "-c", _FETCH, method, url, body).split(" ", 1)
    return int(words[0]), words[1].strip()


def until(truth: Callable[[], bool], within_s: float) -> float:
    """Wait for a truth and give how long it took."""
    start = time.monotonic()
    while not truth():
        assert time.monotonic() - start < within_s, f"not within {within_s} s"
        time.sleep(0.1)
    return time.monotonic() - start


def containers() -> dict[str, dict[str, Any]]:
    client = connect(PLACE)
    assert client is not None
    found = client.containers.list(all=True, filters={"label": f"twinstack.instance={INSTANCE}"})
    return {one.labels["twinstack.replica"]: one.attrs for one in found}


@pytest.fixture(scope="module")
def up(host: leftovers.Before) -> Iterator[DockerWorld]:
    flat = world()
    flat.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    yield flat
    flat.clean(progress=print_nothing)


def test_an_engine_is_started_when_none_answers_and_says_so(host: leftovers.Before):
    said: list[str] = []
    assert connect(PLACE) is None
    ensure_engine(PLACE, said.append)
    assert is_ours(PLACE)
    assert "none answers" in said[0]
    assert "starting dockerd" in said[0]


def test_up_ends_with_every_container_healthy(up: DockerWorld):
    assert {state.name: state.state for state in up.status()} == {
        replica.name: "healthy" for replica in up.plan.replicas
    }


def test_both_doors_and_every_address_answer(up: DockerWorld):
    for service in ("nginx-lb", "api-gateway"):
        door = up.published(service)
        assert door is not None
        status, text = fetch(door.url("/api/products"))
        assert (status, len(json.loads(text)["products"]) >= 20) == (200, True)
    assert fetch(up.endpoint("nginx-lb").url("/health"))[0] == 200


def test_a_second_up_recreates_nothing(up: DockerWorld):
    before = {name: one["Id"] for name, one in containers().items()}
    said: list[str] = []
    up.up(timeout_s=UP_TIMEOUT_S, progress=said.append)
    assert {name: one["Id"] for name, one in containers().items()} == before
    assert not any("building" in line for line in said)
    assert sum("unchanged" in line for line in said) == len(before)


def test_a_container_removed_by_hand_is_put_back_and_no_other_touched(up: DockerWorld):
    before = {name: one["Id"] for name, one in containers().items()}
    client = connect(PLACE)
    assert client is not None
    client.containers.get(before["service-registry"]).remove(force=True)
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    after = {name: one["Id"] for name, one in containers().items()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"service-registry"}


def test_compose_by_hand_finds_the_stack_as_it_should_be(up: DockerWorld):
    before = {name: one["Id"] for name, one in containers().items()}
    words = [
        str(compose_program()), "--project-name", project_name(INSTANCE),
        "--file", str(state_directory(INSTANCE) / "docker-compose.yml"), "up", "--detach",
    ]  # fmt: skip
    subprocess.run(words, env={**os.environ, "DOCKER_HOST": PLACE.url}, check=True)
    assert {name: one["Id"] for name, one in containers().items()} == before


def test_compose_without_a_flag_works_from_the_root_by_way_of_the_env_file(
    up: DockerWorld, tmp_path: Path
):
    up.down(progress=print_nothing)
    for path, text in render_files(up.plan).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    environment = (REPOSITORY / ".env").read_text()
    mine = environment.replace(project_name("main"), project_name(INSTANCE))
    assert mine != environment
    (tmp_path / ".env").write_text(mine)

    def compose(*words: str) -> None:
        outside = {name: value for name, value in os.environ.items() if "COMPOSE" not in name}
        done = subprocess.run(
            [str(compose_program()), *words], cwd=tmp_path, capture_output=True, text=True,
            env={**outside, "DOCKER_HOST": PLACE.url}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    compose("up", "-d")
    try:
        until(lambda: {one.state for one in up.status()} == {"healthy"}, 60)
        projects = {one["Config"]["Labels"]["com.docker.compose.project"]
                    for one in containers().values()}  # fmt: skip
        assert projects == {project_name(INSTANCE)}
    finally:
        compose("down")
        assert containers() == {}
        up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)


@pytest.mark.parametrize(
    "name",
    ["nginx-lb", "api-gateway", "product-service-2", "order-service", "service-registry",
     "redis-cache", "postgres-db"],
)  # fmt: skip
def test_a_killed_service_is_back_and_healthy_within_five_seconds(up: DockerWorld, name: str):
    def state() -> tuple[int | None, str]:
        found = next(one for one in up.status() if one.name == name)
        return found.pid, found.state

    until(lambda: state()[1] == "healthy", 20)
    pid = state()[0]
    assert pid is not None
    replica = up.plan.replica(name)
    where = up.endpoint(replica.service, replica.number)
    probe = [sys.executable, "-c", _BACK, replica.role, where.address, str(where.port)]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), 1)
    # The service's own word, not the engine's: that one looks every two seconds.
    in_namespace(*probe, f"{BACK_WITHIN_S:g}")
    assert state()[0] not in {pid, None}
    until(lambda: state()[1] == "healthy", 20)


def test_stopping_postgresql_turns_the_order_service_unhealthy_and_back(up: DockerWorld):
    def order() -> str:
        return next(one.state for one in up.status() if one.name == "order-service")

    client = connect(PLACE)
    assert client is not None
    until(lambda: order() == "healthy", 20)
    postgres = client.containers.get(containers()["postgres-db"]["Id"])
    postgres.stop(timeout=10)
    try:
        until(lambda: order() == "unhealthy", 30)
    finally:
        postgres.start()
    until(lambda: order() == "healthy", 30)


def test_every_container_is_confined_as_the_kernel_sees_it(up: DockerWorld):
    for state in up.status():
        assert state.pid is not None
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{state.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        user = up.plan.replica(state.name).user
        assert status["Uid"].split() == [str(user)] * 4
        assert int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        options = next(
            line.split()[3].split(",")
            for line in Path(f"/proc/{state.pid}/mounts").read_text().splitlines()
            if line.split()[1] == "/"
        )
        assert "ro" in options


def test_limits_are_those_of_the_plan(up: DockerWorld):
    for name, attributes in containers().items():
        limits, host = up.plan.replica(name).limits, attributes["HostConfig"]
        assert limits is not None
        assert host["Memory"] == host["MemorySwap"] == limits.memory_bytes
        assert host["NanoCpus"] == int(limits.cpus * 1e9)
        assert host["PidsLimit"] == limits.pids


def test_passwords_are_in_no_environment_argument_image_or_label(up: DockerWorld):
    vault = state_directory(INSTANCE) / "secrets" / ".vault"
    passwords = [file.read_text() for file in vault.iterdir()]
    assert len(passwords) == 2
    client = connect(PLACE)
    assert client is not None
    seen = json.dumps(list(containers().values()))
    for image in client.images.list(filters={"label": "twinstack.kind"}):
        seen += json.dumps([image.attrs, image.history()])
    for process in up.processes():
        proc = Path(f"/proc/{process.pid}")
        with suppress(FileNotFoundError, ProcessLookupError):  # a probe that has just ended
            seen += (proc / "environ").read_bytes().decode(errors="replace") + process.command
    seen += (state_directory(INSTANCE) / "docker-compose.yml").read_text()
    assert "TWINSTACK_REPLICA" in seen
    assert not any(password in seen for password in passwords)


def test_the_images_software_is_the_root_trees(up: DockerWorld):
    accounts = {replica.service: replica.user for replica in up.plan.replicas}
    roots = ensure_roots(recipe_for(accounts), print_nothing)
    told = up.software()
    for role in ("nginx", "redis", "postgres"):
        of_tree = software_of_tree(role, roots.tree(role))
        assert {name: told[name] for name in of_tree} == of_tree
    assert {"python digest", "site digest", "services digest"} <= set(told)


def test_cpu_time_and_processes_are_told_for_every_replica(up: DockerWorld):
    names = {replica.name for replica in up.plan.replicas}
    assert set(up.cpu_us()) == names
    assert all(value > 0 for value in up.cpu_us().values())
    assert {process.replica for process in up.processes()} == names


def test_a_command_runs_inside_and_its_exit_code_comes_back(up: DockerWorld):
    assert up.exec("product-service", ["/bin/bash", "-c", "exit 7"]) == 7


def test_logs_are_the_services_own(up: DockerWorld):
    assert "Ready to accept connections" in up.logs("redis-cache", lines=50)


def test_a_second_command_is_told_who_holds_the_instance(up: DockerWorld):
    with (
        locked(Places(INSTANCE), "docker"),
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
    client = connect(PLACE)
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
    client = connect(PLACE)
    assert client is not None
    up.down(progress=print_nothing)
    door = up.plan.host_port("docker", "nginx-lb")
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
    client = connect(PLACE)
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


def test_clean_leaves_the_host_as_it_was_even_after_the_engine_was_killed(
    up: DockerWorld, host: leftovers.Before
):
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    assert leftovers.observe(PREFIX) != host
    assert len(in_namespace("ip", "-o", "link").splitlines()) > 1
    process = json.loads(PLACE.record.read_text())["pid"]
    orphan = next(one.pid for one in up.status() if one.name == "redis-cache")
    os.kill(process, signal.SIGKILL)
    until(lambda: connect(PLACE) is None, 10)
    said: list[str] = []
    assert up.clean(progress=said.append), said

    after = leftovers.observe(PREFIX)
    assert after.sysctls["net/ipv4/ip_forward"] == host.sysctls["net/ipv4/ip_forward"]
    assert (after.files, after.bridges) == (host.files, [])
    for family in host.rules:
        assert "docker" not in after.rules[family].lower()
        assert "DROP" not in after.rules[family]
    assert len(in_namespace("ip", "-o", "link").splitlines()) == 1
    assert orphan is not None
    assert not Path(f"/proc/{orphan}").exists()
    assert not PLACE.data_root.exists()
    assert not PLACE.state.exists()
    assert not PLACE.socket.exists()
    assert not state_directory(INSTANCE).exists()
    for directory in (PLACE.data_root, PLACE.state.parent):
        assert mounts_beneath(directory) == []
    assert list(Path("/sys/fs/cgroup").glob(f"**/{PLACE.cgroup_parent.strip('/')}*")) == []
    assert up.clean(progress=print_nothing) == ()
