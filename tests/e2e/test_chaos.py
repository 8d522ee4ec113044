"""Faults in a running namespace world: put, judged, and put back whatever ends the command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox import INVOKE, Sandbox, differences, eventually, snapshot

pytestmark = pytest.mark.e2e

#: One of each fault that the namespace world has.
EACH = (
    "kill:redis-cache",
    "sigstop:service-registry",
    "stop:product-service-3",
    "link-down:order-service",
    "partition:backend/database",
    "loss:product-service",
    "rate:product-service-2",
    "delay:product-service-3",
    "flush:redis-cache",
    "disk-full:postgres-db",
    "engine",
)
LIMITED = re.compile(r"Max file size +0 ")
#: Those of which something is left when `chaos` is killed.
LASTING = tuple(what for what in EACH if not what.startswith(("kill", "flush")))


def record_of(host: Sandbox) -> Path:
    return Path(f"/proc/{host.host}/root/run/twinstack/{host.instance}/faults-net.json")


def start_chaos(host: Sandbox, what: str) -> subprocess.Popen[str]:
    words = (INVOKE, "chaos", "--world", "net", "--what", what, "--seconds", "60")
    started = host.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        eventually(lambda: record_of(host).exists(), within_s=20)
        eventually(lambda: is_in_place(host, what), within_s=15)
    except BaseException:
        started.terminate()
        started.communicate(timeout=30)
        raise
    return started


def is_in_place(host: Sandbox, what: str) -> bool:
    fault, _, target = what.partition(":")
    match fault:
        case "sigstop":
            pid = pid_of(host, target)
            return bool(pid) and Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "T"
        case "stop":
            return pid_of(host, target) == 0
        case "link-down":
            return "DOWN" in links(host)[f"ve-{target.removesuffix('-service')}"]
        case "partition" | "loss" | "delay":
            return f"fault {what}" in host.run("iptables-save", "-t", "filter").stdout
        case "disk-full":
            return any(LIMITED.search(text) for text in limits(host, target, "postgres"))
        case "engine":
            return not supervisor(host)
        case "rate":
            shown = host.run("tc", "qdisc", "show").stdout
            inside = host.run("ip", "netns", "exec", target, "tc", "qdisc", "show").stdout
            return "qdisc tbf 7e57:" in shown and "qdisc tbf 7e57:" in inside
    return True


def limits(host: Sandbox, replica: str, program: str) -> list[str]:
    """Read the limits of a replica's processes of one program."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            within = f"/twinstack/{host.instance}/{replica}\n" in (entry / "cgroup").read_text()
            if within and (entry / "comm").read_text().strip() == program:
                found.append((entry / "limits").read_text())
    return found


def links(host: Sandbox) -> dict[str, str]:
    lines = host.run("ip", "-br", "link").stdout.splitlines()
    return {line.split()[0].partition("@")[0]: line for line in lines}


def supervisor(host: Sandbox) -> int:
    """Give the supervisor's pid, 0 when it is gone."""
    pid = int(host.run("cat", f"/run/twinstack/{host.instance}/supervisord.pid").stdout)
    return pid if Path(f"/proc/{pid}/stat").exists() else 0


def pid_of(host: Sandbox, replica: str) -> int:
    conf = f"/run/twinstack/{host.instance}"
    environment = Path(f"/proc/{supervisor(host)}/environ").read_text().split("\0")
    path = next(variable for variable in environment if variable.startswith("PYTHONPATH="))
    control = ("/usr/bin/python3", "-m", "supervisor.supervisorctl", "-c")
    words = ("env", path, *control, f"{conf}/supervisord.conf", "pid", replica)
    return int(host.run(*words, check=False).stdout.strip() or 0)


@pytest.fixture(scope="module")
def fine(flat: Sandbox) -> dict[str, str]:
    """Give what the host looks like without a fault."""
    return snapshot(flat, but=("neighbours", "forwarding entries", "sockets", "data"))


def check_fine(host: Sandbox, fine: dict[str, str]) -> None:
    eventually(lambda: host.invoke("net.status", check=False).returncode == 0, within_s=20)
    now = snapshot(host, but=("neighbours", "forwarding entries", "sockets", "data"))
    left = differences(fine, now)
    assert [line for line in left if "sleep 5" not in line] == []  # the log rotator's
    assert not any(LIMITED.search(text) for text in limits(host, "postgres-db", "postgres"))
    assert "7e57:" not in host.run("sh", "-c", "ip -all netns exec tc qdisc; tc qdisc").stdout


def test_each_fault_strikes_is_judged_and_leaves_nothing(
    flat: Sandbox, fine: dict[str, str], tell: Any
) -> None:
    words = ("--world", "net", "--what", ",".join(EACH), "--seconds", "3", "--seed", "5")
    done = flat.invoke("chaos", *words, "--json", check=False, timeout_s=300)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    struck = {f"{each['fault']}:{each['target']}": each for each in report["strikes"]}
    assert struck.keys() == {what if ":" in what else f"{what}:{what}" for what in EACH}
    assert report["seed"] == 5
    for name, each in struck.items():
        reads, orders = (f"{each[f'{kind}_failed']}/{each[kind]}" for kind in ("reads", "orders"))
        after = f"full {each['full_after_s']} s after, healthy {each['healthy_after_s']} s"
        tell(f"{name}: {reads} reads, {orders} orders, {after} {each['broken']}")
    # What cuts the services from their stores is felt; what strikes aside is not.
    # (A read in an open connection waits until packets pass again; one that opens another fails.)
    partition = struck["partition:backend/database"]
    assert partition["reads_failed"] or partition["slowest_s"] > partition["seconds"] / 2, partition
    assert struck["disk-full:postgres-db"]["orders_failed"] > 0
    assert struck["kill:redis-cache"]["reads_failed"] == 0
    assert struck["loss:product-service"]["slowest_s"] > 0.1
    orders = report["orders"]
    assert orders["acknowledged"] > 20
    assert (orders["lost"], orders["undecided"], orders["surplus"]) == ([], [], 0)
    assert done.returncode == (0 if report["ok"] else 1)
    check_fine(flat, fine)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_chaos_puts_everything_back(
    flat: Sandbox, fine: dict[str, str], number: signal.Signals
) -> None:
    for what in ("sigstop:api-gateway", "partition:frontend/backend"):
        chaos = start_chaos(flat, what)
        os.kill(chaos.pid, number)
        _, errors = chaos.communicate(timeout=30)
        assert chaos.returncode == 128 + number, errors
        assert not record_of(flat).exists()
        check_fine(flat, fine)


@pytest.mark.parametrize("what", LASTING)
def test_what_a_killed_chaos_left_is_named_and_repaired_by_up(
    flat: Sandbox, fine: dict[str, str], what: str
) -> None:
    chaos = start_chaos(flat, what)
    refused = flat.invoke("net.up", check=False)
    assert (refused.returncode, "is being changed" in refused.stderr) == (1, True)
    chaos.kill()
    chaos.communicate(timeout=10)
    status = flat.invoke("net.status", check=False)
    name = what if ":" in what else f"{what}:{what}"
    assert f"! faults {name} is declared no longer" in status.stdout
    flat.invoke("net.up")
    check_fine(flat, fine)


def test_down_takes_away_what_a_killed_chaos_left(flat: Sandbox) -> None:
    chaos = start_chaos(flat, "sigstop:redis-cache")
    chaos.kill()
    chaos.communicate(timeout=10)
    began = time.monotonic()
    removed = flat.invoke("net.down").stdout
    assert "removed faults sigstop:redis-cache" in removed
    assert time.monotonic() - began < 10  # a suspended process would not hear its SIGTERM
    assert flat.run("ip", "netns", "list").stdout == ""
    assert flat.run("find", "/run/twinstack", check=False).stdout == ""
    refused = flat.invoke("chaos", "--world", "net", check=False)
    assert (refused.returncode, "is not up" in refused.stderr) == (2, True)
    flat.invoke("net.up")
