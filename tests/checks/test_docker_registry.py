"""The registry's container lost in every way, under load: no request fails, as in namespaces.

Each fault outlasts a lease; with --full it lasts a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.support.docker_steps import ENGINE, INSTANCE, client_of, up
from tests.support.docker_steps import world as small_world
from tests.support.project import ROOT
from tests.support.sampling import sampled
from tests.support.sandbox import eventually
from twinstack.compose.render import container_name
from twinstack.compose.world import DockerWorld

pytestmark = pytest.mark.docker

INSTANCES = ("product-service", "product-service-2", "product-service-3", "order-service")


@pytest.fixture(scope="module")
def flat(images: None) -> DockerWorld:
    """Give the world with all its replicas."""
    made = small_world("flat", lambda _written: None)
    up(made)
    return made


def container(world: DockerWorld, name: str) -> Container:
    return client_of().containers.get(container_name(world.plan, world.plan.replica(name)))


def registered(world: DockerWorld) -> set[str]:
    pid = container(world, "service-registry").attrs["State"]["Pid"]
    words = ("nsenter", "-t", str(pid), "-n", "curl", "-s", "--max-time", "2")
    done = subprocess.run(
        [*words, "http://127.0.0.1:8500/v1/services"], capture_output=True, check=False
    )
    services = json.loads(done.stdout or "{}").get("services", {})
    return {entry["instance"] for entries in services.values() for entry in entries}


@contextmanager
def killed(world: DockerWorld) -> Iterator[None]:
    registry = container(world, "service-registry")
    registry.kill()
    try:
        yield
    finally:
        registry.start()


@contextmanager
def frozen(world: DockerWorld) -> Iterator[None]:
    registry = container(world, "service-registry")
    registry.pause()
    try:
        yield
    finally:
        registry.unpause()


@contextmanager
def cut_off(world: DockerWorld, *names: str) -> Iterator[None]:
    """Cut instances' way to the registry, and no other."""
    address = world.plan.replica("service-registry").docker_address
    with ExitStack() as undo:
        for name in names:
            pid = container(world, name).attrs["State"]["Pid"]
            enter = ["nsenter", "-t", str(pid), "-n", "iptables"]
            rule = ["OUTPUT", "-d", str(address), "-j", "DROP"]
            subprocess.run([*enter, "-I", *rule], check=True)
            undo.callback(subprocess.run, [*enter, "-D", *rule], check=True)
        yield


@contextmanager
def partitioned(world: DockerWorld) -> Iterator[None]:
    with cut_off(world, "api-gateway", *INSTANCES):
        yield


@contextmanager
def some_cut_off(world: DockerWorld) -> Iterator[None]:
    with cut_off(world, *INSTANCES[1:]):
        yield


@contextmanager
def emptied(world: DockerWorld) -> Iterator[None]:
    """Start it again without its table, and let nobody register for as long."""
    registry = container(world, "service-registry")
    volume = client_of().volumes.get(f"twinstack-{INSTANCE}-service-registry-data")
    with cut_off(world, *INSTANCES):
        registry.kill()
        Path(volume.attrs["Mountpoint"], "table.json").unlink()
        registry.start()
        yield


#: The container gone; CI tries the other kinds of fault in namespaces. --full has all.
SAMPLE = ("killed",)
FAULTS: dict[str, Callable[[DockerWorld], AbstractContextManager[None]]] = {
    "killed": killed,
    "frozen": frozen,
    "partitioned": partitioned,
    "some instances cut off": some_cut_off,
    "restarted empty": emptied,
}


@pytest.mark.parametrize("fault", sampled(FAULTS, SAMPLE))
def test_no_request_fails_while_the_registry_is(
    fault: str, flat: DockerWorld, full: bool, tell: Callable[[str], None]
) -> None:
    lasts_s = 60 if full else 9  # a lease: 6 s
    eventually(lambda: registered(flat) == set(INSTANCES), within_s=15)
    edge = flat.published("nginx-lb")
    assert edge is not None
    script = str(ROOT / "tests/support/steady_load.py")
    words = [sys.executable, script, edge.url(""), str(lasts_s + 10)]
    load = subprocess.Popen([*ENGINE.prefix, *words], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(2)
        with FAULTS[fault](flat):
            time.sleep(lasts_s)
        output, _ = load.communicate(timeout=60)
    finally:
        load.kill()
    found = json.loads(output)
    tell(
        f"docker, {fault} for {lasts_s} s: {found['sent']} requests, {len(found['failed'])} failed"
    )
    assert found["sent"] > 20 * lasts_s
    assert found["failed"] == []
    eventually(lambda: registered(flat) == set(INSTANCES), within_s=15)
