"""The registry lost in every way, under load: no request fails. And taken over: nothing is gained.

Each fault outlasts a lease; with --full it lasts a minute.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import ROOT
from tests.support.sampling import sampled
from tests.support.sandbox import INTERNET_ADDRESS, Sandbox, eventually
from twinstack.state.paths import InstancePaths

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

EDGE, REGISTRY = "http://10.0.0.10", "10.0.0.70"
INSTANCES = ("product-service", "product-service-2", "product-service-3", "order-service")


def lib(host: Sandbox) -> Path:
    """Give the world's directory, as seen from outside of the host's mount namespace."""
    return Path(f"/proc/{host.host}/root") / InstancePaths(host.instance).lib.relative_to("/")


def members(host: Sandbox) -> list[int]:
    own = f"twinstack/{host.instance}/service-registry/cgroup.procs"  # by either version of cgroups
    script = f"cat /sys/fs/cgroup/*/{own} /sys/fs/cgroup/{own} 2>/dev/null || true"
    return sorted({int(word) for word in host.run("sh", "-c", script).stdout.split()})


def kill(host: Sandbox) -> None:
    for pid in members(host):
        os.kill(pid, signal.SIGKILL)


def supervisor(host: Sandbox, *words: str) -> None:
    run = f"/run/twinstack/{host.instance}"
    pid = host.run("cat", f"{run}/supervisord.pid").stdout.strip()
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    path = next(variable for variable in environment if variable.startswith("PYTHONPATH="))
    program = ("/usr/bin/python3", "-m", "supervisor.supervisorctl")
    host.run("env", path, *program, "-c", f"{run}/supervisord.conf", *words)


@contextmanager
def killed(host: Sandbox) -> Iterator[None]:
    kill(host)
    supervisor(host, "stop", "service-registry")
    try:
        yield
    finally:
        supervisor(host, "start", "service-registry")


@contextmanager
def frozen(host: Sandbox) -> Iterator[None]:
    pids = members(host)
    assert pids
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def partitioned(host: Sandbox) -> Iterator[None]:
    link = "ve-registry"
    host.run("ip", "link", "set", link, "down")
    try:
        yield
    finally:
        host.run("ip", "link", "set", link, "up")


@contextmanager
def cut_off(host: Sandbox, *names: str) -> Iterator[None]:
    """Cut instances' way to the registry, and no other."""
    with ExitStack() as undo:
        for name in names:
            enter = ("nsenter", f"--net=/run/netns/{name}", "iptables")
            rule = ("OUTPUT", "-d", REGISTRY, "-j", "DROP")
            host.run(*enter, "-I", *rule)
            undo.callback(host.run, *enter, "-D", *rule)
        yield


@contextmanager
def some_cut_off(host: Sandbox) -> Iterator[None]:
    with cut_off(host, *INSTANCES[1:]):
        yield


@contextmanager
def emptied(host: Sandbox) -> Iterator[None]:
    """Start it again without its table, and let nobody register for as long."""
    with cut_off(host, *INSTANCES):
        (lib(host) / "service-registry/table.json").unlink()
        kill(host)
        yield


#: Of each kind one: silent, and without its table; gone it is in Docker. --full has all.
SAMPLE = ("partitioned", "restarted empty")
FAULTS: dict[str, Callable[[Sandbox], AbstractContextManager[None]]] = {
    "killed": killed,
    "frozen": frozen,
    "partitioned": partitioned,
    "some instances cut off": some_cut_off,
    "restarted empty": emptied,
}


def registered(host: Sandbox) -> set[str]:
    words = ("nsenter", "--net=/run/netns/service-registry", "curl", "-s", "--max-time", "2")
    done = host.run(*words, "http://127.0.0.1:8500/v1/services", check=False)
    services: dict[str, list[dict[str, Any]]] = json.loads(done.stdout or "{}").get("services", {})
    return {entry["instance"] for entries in services.values() for entry in entries}


@pytest.mark.parametrize("fault", sampled(FAULTS, SAMPLE))
def test_no_request_fails_while_the_registry_is(
    fault: str, flat: Sandbox, full: bool, tell: Callable[[str], None]
):
    lasts_s = 60 if full else 9  # a lease: 6 s
    eventually(lambda: registered(flat) == set(INSTANCES), within_s=15)
    script = str(ROOT / "tests/support/steady_load.py")
    load = flat.start(sys.executable, script, EDGE, str(lasts_s + 10), stdout=-1)
    try:
        time.sleep(2)
        with FAULTS[fault](flat):
            time.sleep(lasts_s)
        output, _ = load.communicate(timeout=60)
    finally:
        load.kill()
    found = json.loads(output)
    tell(f"{fault} for {lasts_s} s: {found['sent']} requests, {len(found['failed'])} failed")
    assert found["sent"] > 20 * lasts_s
    assert found["failed"] == []
    eventually(lambda: registered(flat) == set(INSTANCES), within_s=15)


def test_a_replica_that_was_taken_over_gets_no_foreign_requests(flat: Sandbox):
    secret = lib(flat) / "secrets/product-service/registry_product_service_password"
    password = secret.read_text()

    def put(name: str, address: str) -> str:
        path = f"http://{REGISTRY}:8500/v1/services/{name}"
        body = json.dumps({"address": address, "port": 5000})
        words = ["-X", "PUT", "-H", f"Authorization: Bearer {password}", "-d", body, path]
        enter = ("nsenter", "--net=/run/netns/product-service-2", "curl", "-s", "--max-time", "5")
        return flat.run(*enter, "-o", "/dev/null", "-w", "%{http_code}", *words).stdout

    eventually(lambda: registered(flat) == set(INSTANCES), within_s=15)
    assert put("product-service/product-service-2", "10.0.0.31") == "200"  # its own, again
    assert put("order-service/order-service-2", "10.0.0.31") == "401"
    assert put("product-service/product-service", "10.0.0.31") == "409"
    assert put("product-service/product-service-4", "10.0.0.40") == "403"
    for address in ("127.0.0.1", "169.254.169.254", "8.8.8.8", "10.0.0.1"):
        assert put("product-service/product-service-4", address) == "400"
    assert registered(flat) == set(INSTANCES)


def test_the_gateway_has_no_way_out(flat: Sandbox):
    server = flat.start(
        sys.executable, "-m", "http.server", "80", where="internet", stdout=-3, stderr=-3
    )

    def reaches(name: str) -> bool:
        words = ("nsenter", f"--net=/run/netns/{name}", "curl", "-s", "--max-time", "2")
        return flat.run(*words, f"http://{INTERNET_ADDRESS}/", check=False).returncode == 0

    try:
        eventually(lambda: reaches("nginx-lb"), within_s=10)
        assert not reaches("api-gateway")
    finally:
        server.kill()
        server.wait()
