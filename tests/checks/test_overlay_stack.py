"""The whole stack on three hosts: the seed's requests, every replica, and the loss of a host."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support.drive import driver
from tests.support.kernel_state import kernel_state, unlike
from tests.support.project import ROOT
from tests.support.sandbox import Sandbox, differences, eventually, sandbox, snapshot
from twinstack.overlay.host_plans import host_instance

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

HOSTS = ("host-1", "host-2", "host-3")
EDGE = "http://10.0.0.10"
FAULTS = ("host-loss", "partition", "mtu")
#: One step of the second host for each kind of what runs.
FIRSTS = {
    "supervisor": "supervisor",
    "process": "process api-gateway",
    "cgroup": "cgroup api-gateway",
    "file": "file /run/twinstack/INSTANCE/conf/hosts",
    "directory": "directory /run/twinstack/INSTANCE/launch",
}
#: Of `why`: causes that are planted in CI, and how soon each is named. Units: seconds.
WHY_SAMPLE, WHY_WITHIN_S = 4, 3.0
REPLICAS = {"product-service", "product-service-2", "product-service-3"}


@pytest.fixture(scope="module", autouse=True)
def three_hosts(host: Sandbox) -> Iterator[None]:
    """Bring the stack up on three simulated hosts; down leaves nothing of them."""
    before = snapshot(host)
    host.invoke("overlay.up", "--hosts", "3", "--timeout", "120")
    yield
    host.invoke("overlay.down")
    # Another test's mount may end meanwhile.
    left = differences(before, snapshot(host))
    assert [line for line in left if "/pytest-of-" not in line] == []


def curl(host: Sandbox, where: str, url: str, *options: str) -> str:
    words = ("curl", "-sS", "--max-time", "10", *options, url)
    return host.run("nsenter", f"--net=/run/netns/{where}", "--", *words).stdout


def test_the_seeds_questions_are_answered_on_every_host(host: Sandbox):
    for where in HOSTS:
        assert json.loads(curl(host, where, f"{EDGE}/health"))["status"] == "ok"
        assert json.loads(curl(host, where, f"{EDGE}/api/products"))["products"]


def test_the_logs_of_all_hosts_are_one_in_order_of_time(host: Sandbox):
    status = json.loads(host.invoke("overlay.status", "--json").stdout)
    output = host.invoke("overlay.logs", "--json", "-n", "5").stdout
    lines = [json.loads(line) for line in output.splitlines()]
    assert {line["replica"] for line in lines} == {state["name"] for state in status["services"]}
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


def test_replicas_on_three_hosts_all_serve(host: Sandbox):
    status = json.loads(host.invoke("overlay.status", "--json").stdout)
    where = {state["name"]: state["where"].split(":")[0] for state in status["services"]}
    assert {where[name] for name in REPLICAS} == set(HOSTS)
    # On a busy machine a slow answer ejects a replica for a while.
    eventually(lambda: served(host) == REPLICAS, within_s=15)


def served(host: Sandbox) -> set[str]:
    """Name the replicas that answer twelve requests in turn."""
    headers = curl(host, "host-2", f"{EDGE}/api/products?page=[1-12]", "-D", "-", "-o", "/dev/null")
    return {
        line.split(": ")[1].strip()
        for line in headers.splitlines()
        if line.lower().startswith("x-served-by")
    }


def test_every_host_publishes_the_port_for_other_machines(host: Sandbox):
    for number in (11, 12, 13):
        assert json.loads(host.fetch(f"http://10.88.0.{number}:8080/health"))["status"] == "ok"


def test_why_names_what_is_wrong_between_hosts_first(
    host: Sandbox, full: bool, tell: Callable[[str], None]
) -> None:
    before = kernel_state(host)
    words = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.why_overlay_inside")
    done = host.run(*words, "0" if full else str(WHY_SAMPLE), timeout_s=900)
    results = json.loads(done.stdout)
    slowest = max(result["took_s"] for result in results)
    wrong = [result for result in results if not result["right"]]
    tell(f"{len(results) - len(wrong)} of {len(results)} named, slowest {slowest} s")
    assert [f"{each['case']}: {each['found']} at {each['stops']}" for each in wrong] == []
    assert slowest < WHY_WITHIN_S or not full
    assert unlike(before, kernel_state(host)) == []
    assert host.invoke("overlay.status").returncode == 0


def test_the_other_hosts_go_on_when_one_is_broken(
    host: Sandbox, full: bool, tell: Callable[[str], None]
):
    for what in FAULTS if full else FAULTS[:1]:
        # A moved replica has to start, to register, and to reach the gateway's list.
        words = ("--seconds", "8", "--move") if what == "host-loss" else ("--seconds", "3")
        done = host.invoke("chaos", "--what", what, "--json", *words)
        report = json.loads(done.stdout)
        assert (report["host"], report["fault"]) == ("host-3", what)
        during = [phase for phase in report["phases"] if phase["name"] in {"during", "moved"}]
        assert sum(phase["good"] for phase in during) > 0
        assert report["ok"]
        if "--move" in words:  # the lost host's replica serves from another one
            moved = next(phase for phase in report["phases"] if phase["name"] == "moved")
            assert set(moved["served_by"]) == REPLICAS
        tell(
            f"{what}: "
            + ", ".join(
                f"{phase['name']} {phase['good']}/{phase['asked']}" for phase in report["phases"]
            )
        )
        assert host.invoke("overlay.status", check=False).returncode == 0


@pytest.mark.long
@pytest.mark.timeout(0)
def test_an_up_killed_while_it_starts_services_leaves_what_down_removes(
    software: None, tell: Callable[[str], None]
):
    with sandbox("k") as made, driver(made, bare=False, hosts=2) as drive:
        before = snapshot(made)
        drive.order("up")
        drive.order("down")
        kinds = ("supervisor", "process", "cgroup", "file", "directory")
        for kind in kinds:  # the second host's first: the first host runs by then
            for moment in ("before", "after"):
                own = host_instance(made.instance, "host-2")
                step = f"host-2: {FIRSTS[kind]}".replace("INSTANCE", own)
                done = drive.order("up", at=(moment, step), check=False)
                assert done.code == -signal.SIGKILL, f"{moment} {step}: {done}"
                drive.order("down")
                assert differences(before, snapshot(made)) == [], f"{moment} {step}"
        tell(f"overlay with services: {2 * len(kinds)} points injected")
