"""Another version of a service comes and goes under full load, and no request fails.

A version that is broken is taken back by itself. `--full`: thirty rounds of each way, and canaries
that are worse, as good, and without a load to tell by.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.other_versions import BROKEN, FAILING, marked, version
from tests.support.project import ROOT
from tests.support.sandbox import INVOKE, Sandbox
from tests.support.shop_load import shop_load
from twinstack.state.paths import InstancePaths

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(0)]

URL = "http://10.0.0.10"
Tell = Callable[[str], None]


def versions(host: Sandbox, service: str) -> list[str]:
    return [each["version"] for each in host.status().values() if each["service"] == service]


def marks(host: Sandbox, path: str) -> Counter[str]:
    """Count the marks of versions on two dozen responses."""
    words = ("-o", "/dev/null", "-w", "%header{x-release},")
    return Counter(host.fetch(f"{URL}{path}?[1-24]", *words).split(",")[:-1])


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a version of the product service that marks its responses."""
    return version(tmp_path_factory.mktemp("one"), "product_service", marked("one"))


def test_what_cannot_be_released_is_refused_with_its_reason(flat: Sandbox, tmp_path: Path) -> None:
    services = str(ROOT / "services")
    for words, reason in (
        (("redis-cache", "--from", services), "it cannot be drained"),
        (("product-service", "--from", str(tmp_path)), "give the services/ directory"),
        (("product-service",), "give one of them"),
        (("order-service", "--from", services, "--how", "canary"), "net.scale order-service=2"),
        (("order-service", "--from", services, "--how", "red"), "rolling, blue-green or canary"),
    ):
        done = flat.invoke("net.release", *words, check=False)
        assert done.returncode == 64
        assert reason in done.stderr
    assert json.loads(flat.invoke("net.plan", "--json").stdout)["changes"] == []


def test_a_rolling_release_fails_no_request_and_holds(flat: Sandbox, one: Path, tell: Tell) -> None:
    with shop_load(URL, flat.command, tell, "net.release product-service"):
        flat.invoke("net.release", "product-service", "--from", str(one))
    assert marks(flat, "/api/products") == {"one": 24}
    assert len(set(versions(flat, "product-service")) - {""}) == 1
    assert "Nothing to do" in flat.invoke("net.plan").stdout
    flat.invoke("net.up")
    assert marks(flat, "/api/products") == {"one": 24}


@pytest.mark.parametrize(
    "service", ["order-service", pytest.param("product-service", marks=pytest.mark.long)]
)
def test_a_broken_version_is_taken_back(
    flat: Sandbox, tmp_path: Path, service: str, tell: Tell
) -> None:
    before = flat.status()
    broken = version(tmp_path, service.replace("-", "_"), BROKEN)
    with shop_load(URL, flat.command, tell, f"net.release {service}, a broken version"):
        words = ("net.release", service, "--from", str(broken), "--timeout", "4")
        done = flat.invoke(*words, check=False)
    assert done.returncode == 1
    assert "this version is broken" in done.stderr
    after = flat.status()
    assert {name: each["version"] for name, each in after.items()} == (
        {name: each["version"] for name, each in before.items()}
    )
    assert flat.invoke("net.status").returncode == 0


def test_down_ends_a_release_and_leaves_no_version(flat: Sandbox) -> None:
    flat.invoke("net.down")
    assert not flat.run("ls", str(InstancePaths(flat.instance).run), check=False).stdout
    flat.invoke("net.up")
    assert versions(flat, "product-service") == ["", "", ""]


@pytest.mark.long
@pytest.mark.parametrize("how", ["rolling", "blue-green"])
@pytest.mark.parametrize("service", ["product-service", "order-service"])
def test_releases_and_rollbacks_fail_no_request(
    flat: Sandbox, tmp_path: Path, how: str, service: str, full: bool, tell: Tell
) -> None:
    rounds = 30 if full else 1
    other = version(tmp_path, service.replace("-", "_"), marked("other"))
    before = len(versions(flat, service))
    with shop_load(URL, flat.command, tell, f"net.release {service} --how {how} × {rounds}"):
        for _ in range(rounds):
            flat.invoke("net.release", service, "--from", str(other), "--how", how)
            assert len(set(versions(flat, service)) - {""}) == 1
            flat.invoke("net.release", service, "--rollback")
            assert versions(flat, service) == [""] * before
    assert flat.run("ls", str(InstancePaths(flat.instance).versions), check=False).stdout == ""
    done = flat.invoke("net.release", service, "--rollback", check=False)
    assert "no other version was released" in done.stderr
    assert flat.invoke("net.status", check=False).returncode == 0


@pytest.mark.long
def test_a_release_that_was_killed_is_taken_back_whole(
    flat: Sandbox, one: Path, tell: Tell
) -> None:
    with shop_load(URL, flat.command, tell, "net.release, killed, and --rollback"):
        words = (INVOKE, "net.release", "product-service", "--from", str(one))
        command = flat.start(*words, stderr=subprocess.PIPE)
        assert command.stderr is not None
        drains = (line for line in command.stderr if line.endswith(": draining\n"))
        assert [next(drains) for _ in range(2)]
        time.sleep(1)
        command.kill()
        command.wait()
        assert sorted(map(bool, versions(flat, "product-service"))) == [False, False, True]
        flat.invoke("net.release", "product-service", "--rollback")
    assert versions(flat, "product-service") == ["", "", ""]
    assert flat.invoke("net.status").returncode == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("more", "opinion"),
    [
        (marked("as good"), "not worse"),
        (marked("slow", "__import__('time').sleep(0.02)"), "worse"),
        (marked("greedy", "sum(range(30_000))"), "worse"),
        (FAILING, "worse"),
    ],
    ids=["as good", "slow", "greedy", "failing"],
)
def test_a_canary_is_judged_by_what_it_costs(
    flat: Sandbox, tmp_path: Path, more: str, opinion: str, tell: Tell
) -> None:
    source = version(tmp_path, "product_service", more)
    words = ("net.release", "product-service", "--from", str(source), "--how", "canary")
    module = ("-m", "tests.support.shop_load", URL)
    load = flat.start("env", f"PYTHONPATH={ROOT}", sys.executable, *module, stdin=subprocess.PIPE)
    try:
        done = flat.invoke(*words, check=False, timeout_s=300)
    finally:
        load.kill()
        load.wait()
    tell(done.stderr)
    released = sum(bool(each) for each in versions(flat, "product-service"))
    if released:
        flat.invoke("net.release", "product-service", "--rollback")
    assert f"canary: {opinion} (" in done.stderr
    assert (done.returncode, released) == ((0, 3) if opinion == "not worse" else (1, 0))


@pytest.mark.long
def test_a_canary_without_a_load_stays_until_somebody_decides(flat: Sandbox, one: Path) -> None:
    words = ("net.release", "product-service", "--from", str(one), "--how", "canary")
    done = flat.invoke(*words, "--seconds", "20", check=False)
    assert done.returncode == 2
    assert "canary: cannot tell (" in done.stderr
    assert [bool(each) for each in versions(flat, "product-service")] == [True, False, False]
    flat.invoke("net.release", "product-service", "--rollback")
    assert versions(flat, "product-service") == ["", "", ""]
