"""Both worlds with other engines and on another Debian: up, looked at, measured, gone.

Each machine has the programs of one release; what is tried in it is what a user types. A sample
takes the next Debian's engine and one service; `invoke check.engines` takes both worlds on three
machines, and keeps each step's outcome.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from front.tried import OK, Kind, TriedMachine, TriedStep, line
from tests.support.debian_tree import clone_into, make_tree, start_engine
from tests.support.own_machine import (
    CGROUPS,
    HOST,
    LIB,
    OwnMachine,
    own_directory,
    own_machine,
    remove_what_dead_runs_left,
)
from tests.support.project import ROOT
from tests.support.sandbox import differences, snapshot
from twinstack.linux.procfs import start_ticks
from twinstack.software.roots import ROOTS, recipe_for

#: The release of Debian after the one that twinstack is developed on.
NEXT = "trixie"
NAMES = ("nginx-lb", "api-gateway", "product-service", "order-service", "service-registry")
#: Steps without which those that follow are not tried.
NEEDED = ("make setup", "root trees, wheels", "net.up", "docker.up")
#: Of an outcome that is not as it should be. Units: characters.
MOST = 600
#: A table that was looked at stays, without a rule; other tests' mounts, which it inherits, go.
_NO_LEFTOVER = re.compile(r"rules: (?:\*|COMMIT|:\w+ ACCEPT)|^- mounts: \S+ \S+ /tmp/")
_KILLED = """
import os, time
from tests.support.own_machine import PREFIX, own_machine
with own_machine("killed") as machine:
    machine.run("sh", "-c", "for tree in /sys/fs/cgroup/*/; do mkdir $tree/own; done")
    started = machine.start("sleep", "600")
    print(machine.host, f"{PREFIX}{os.getpid()}-killed", flush=True)
    time.sleep(600)
"""
Tell = Callable[[str], None]
Keep = Callable[[TriedMachine], None]
Act = Callable[[OwnMachine], object]


@pytest.fixture(scope="module")
def tree(software: None) -> Iterator[Path]:
    """Give the next release of Debian with its Docker."""
    with own_directory("tree") as directory:
        make_tree(NEXT, directory / "tree", "ca-certificates")
        clone_into(directory / "tree")
        yield directory / "tree"


@pytest.fixture
def keep(request: pytest.FixtureRequest, tell: Tell) -> Keep:
    """Give what tells of a machine, and records it where the check reads it."""

    def write(machine: TriedMachine) -> None:
        tell(f"{machine.what} {machine.version}: {', '.join(machine.programs)}")
        if record := request.config.getoption("--record"):
            with Path(record).open("a", encoding="utf-8") as file:
                file.write(line(machine))

    return write


def test_the_next_debians_engine_takes_a_service_up_and_down(tree: Path, tmp_path: Path):
    written = yaml.safe_load((ROOT / "topology.yml").read_text())
    every = accounts(written)
    written["services"] = {"redis-cache": written["services"]["redis-cache"]}
    written |= {"flows": [], "host_ports": [], "hosts": {"placement": {}}}
    here, wanted = (recipe_for(of).name for of in (every, accounts(written)))
    with own_machine("sample") as machine:
        machine.run("ln", "-s", here, f"{ROOTS}/{wanted}")  # one tree serves: it has more accounts
        start_engine(machine, tree)
        before = objects(machine)
        topology = tmp_path / "topology.yml"
        topology.write_text(yaml.safe_dump(written, sort_keys=False))
        invoke = ("env", f"TWINSTACK_TOPOLOGY={topology}", f"{ROOT}/.venv/bin/invoke")
        services = json.loads(machine.run(*invoke, "docker.up", "--json").stdout)["services"]
        assert [service["state"] for service in services] == ["healthy"]
        pending = json.loads(machine.run(*invoke, "docker.plan", "--json").stdout)
        assert pending["changes"] == []
        machine.run(*invoke, "clean")
        assert objects(machine) == before


def accounts(written: dict[str, Any]) -> dict[str, int]:
    return {name: service["user"] for name, service in written["services"].items()}


def test_a_run_that_is_killed_leaves_what_the_next_removes():
    killed = subprocess.Popen(
        [sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert killed.stdout is not None
    process, name = killed.stdout.readline().split()
    assert start_ticks(int(process))
    killed.kill()
    killed.wait()
    left = [*CGROUPS.glob(f"**/{name}/own"), LIB / name]
    assert len(left) > 1
    remove_what_dead_runs_left()
    assert not start_ticks(int(process))
    assert [path for path in left if path.exists()] == []


@pytest.mark.long
def test_both_worlds_with_this_machines_engine(software: None, keep: Keep, tell: Tell):
    with own_machine("host") as machine:
        tried(machine, "engine", STEPS, keep, tell)


@pytest.mark.long
def test_both_worlds_with_the_next_debians_engine(tree: Path, keep: Keep, tell: Tell):
    with own_machine("engine") as machine:
        start_engine(machine, tree)
        tried(machine, "engine", STEPS, keep, tell)


@pytest.mark.long
def test_both_worlds_on_the_next_debian(tree: Path, keep: Keep, tell: Tell):
    with own_machine("setup", tree, shared_network=True) as machine:
        # Hundreds of megabytes that neither world uses.
        machine.run("ln", "-sf", "true", "/usr/bin/chromium")
        ready = steps_of(machine, SETUP, tell)
    with own_machine("next", tree) as machine:
        tried(machine, "userland", STEPS, keep, tell, ready)


def tried(
    machine: OwnMachine,
    what: Kind,
    steps: Sequence[tuple[str, Act]],
    keep: Keep,
    tell: Tell,
    before: Sequence[TriedStep] = (),
) -> None:
    """Take the steps, record each outcome, and fail when one is not as it should be."""
    seen = looks(machine)
    programs: dict[str, str] = {}
    taken = steps_of(machine, steps, tell, programs)
    left = [each for each in differences(seen, looks(machine)) if not _NO_LEFTOVER.search(each)]
    ending = TriedStep("nothing is left", "; ".join(left)[:MOST] or OK, 0.0)
    tell(f"nothing is left: {ending.outcome}")
    found = TriedMachine(what, programs, (*before, *taken, ending))
    keep(found)
    assert [step for step in found.steps if step.outcome != OK] == []


def steps_of(
    machine: OwnMachine,
    steps: Sequence[tuple[str, Act]],
    tell: Tell,
    programs: dict[str, str] | None = None,
) -> list[TriedStep]:
    """Take steps one after the other; what needs a world that is not up is not tried."""
    taken: list[TriedStep] = []
    for name, act in steps:
        lacking = [step.step for step in taken if step.step.endswith(".up") and step.outcome != OK]
        start = time.monotonic()
        outcome = f"not tried: {lacking[0]} failed" if lacking else OK
        if name == "clean" or not lacking:
            outcome = outcome_of(machine, act)
        taken.append(TriedStep(name, outcome, round(time.monotonic() - start, 1)))
        tell(f"{name}: {outcome} ({taken[-1].seconds:.1f} s)")
        if name == "docker.up" and outcome == OK and programs is not None:
            programs |= versions(machine)
    return taken


def outcome_of(machine: OwnMachine, act: Act) -> str:
    """Take one step; ok, or the end of what was wrong in one line."""
    try:
        act(machine)
    except (AssertionError, subprocess.SubprocessError, ValueError, KeyError) as error:
        return " ".join(str(error).split())[-MOST:] or type(error).__name__
    return OK


def looks(machine: OwnMachine) -> dict[str, str]:
    """Look at all that worlds and an engine of ours change on their host."""
    more = {
        # A foreign engine keeps its own.
        "all cgroups": "find /sys/fs/cgroup -type d | grep -v '/docker$' | sort",
        "engine's files": "find /etc/docker 2>/dev/null | sort",
        "engine's sysctls": "sysctl -a 2>/dev/null | grep -E '^net.bridge|v6.conf.all.forwarding'",
    }
    seen = {name: machine.run("sh", "-c", f"{look}; :").stdout for name, look in more.items()}
    return snapshot(machine) | seen


def objects(machine: OwnMachine) -> dict[str, str]:
    """Look at what a machine's engine and its host hold of ours."""
    engine = "docker ps -aq; docker images -q; docker volume ls -q; docker network ls -q"
    found = snapshot(machine, but=("mounts", "processes", "run", "sockets"))
    return {**found, "engine": machine.run("sh", "-c", engine).stdout}


def versions(machine: OwnMachine) -> dict[str, str]:
    """Read the versions of the programs that the worlds of a machine run on."""
    of_role = (
        "dpkg-query --admindir /var/lib/twinstack/roots/*/{0}/var/lib/dpkg -W -f '${{Version}}' {1}"
    )
    asked = {
        "Docker": "docker version --format '{{.Server.Version}}'",
        "Debian": "cat /etc/debian_version",
        "Python": "/usr/bin/python3 -c 'import platform; print(platform.python_version())'",
        "iptables": "iptables -V",
        "iproute2": "ip -V | sed 's/.*iproute2-//; s/,.*//'",
        "PostgreSQL": of_role.format("postgres", "'postgresql-[0-9]*'"),
        "nginx": of_role.format("nginx", "nginx"),
        "Redis": of_role.format("redis", "redis-server"),
        "supervisor": "sed -n 's/^supervisor==//p' twinstack/software/requirements-tools.txt",
        "Compose": ".venv/bin/docker-compose version --short",
        "kernel": "uname -r",
    }
    return {
        name: machine.run("sh", "-c", command, check=False).stdout.strip().rpartition(" v")[2]
        for name, command in asked.items()
    }


def net_up(machine: OwnMachine) -> None:
    up(machine, "net.up")


def docker_up(machine: OwnMachine) -> None:
    up(machine, "docker.up")


def up(machine: OwnMachine, task: str) -> None:
    services = json.loads(machine.invoke(task, "--json").stdout)["services"]
    assert {service["state"] for service in services} == {"healthy"}, services
    again = json.loads(machine.invoke(task.replace(".up", ".plan"), "--json").stdout)
    assert again["changes"] == [], f"a second up would change {again['changes']}"


def seeds_checks(machine: OwnMachine) -> None:
    """Look as seed.md says, word for word but for the ports of an instance."""
    listed = machine.run("ip", "netns", "list").stdout
    assert all(name in listed for name in NAMES), listed
    assert "10.0.0.1/24" in machine.run("ip", "addr", "show", "br-app").stdout
    containers = machine.run("docker", "ps", "--format", "{{.Names}} {{.Status}}").stdout
    lines = containers.splitlines()
    assert len(lines) == 9, containers
    assert all("(healthy)" in each for each in lines), containers
    ports = machine.run("docker", "ps", "--format", "{{.Ports}}", "--filter", "name=api-gateway")
    gateway = ports.stdout.partition("127.0.0.1:")[2].partition("->")[0]
    for url in (
        "http://10.0.0.10/health",
        "http://10.0.0.10/api/products",
        "http://localhost:8080/api/products",
        f"http://localhost:{gateway}/api/products",
    ):
        body = json.loads(machine.fetch(url, "--fail"))
        assert "/api/" not in url or len(body["products"]) > 0, (url, body)


def told(*words: str) -> Act:
    """Give an act that runs a task, whose JSON must be as its schema says, and which exits 0."""
    return lambda machine: machine.invoke(*words, "--json")


def clean(machine: OwnMachine) -> None:
    machine.invoke("clean", "--json")
    if machine.root != HOST:  # on the host's, another instance needs the software
        machine.run("test", "!", "-e", "/var/lib/twinstack", "-a", "!", "-e", "wheelhouse")


SETUP: tuple[tuple[str, Act], ...] = (
    ("make setup", lambda machine: machine.run("scripts/setup", timeout_s=600)),
    ("root trees, wheels", lambda machine: machine.run("scripts/build-software", timeout_s=600)),
)
STEPS: tuple[tuple[str, Act], ...] = (
    ("net.up", net_up),
    ("docker.up", docker_up),
    ("seed's checks", seeds_checks),
    ("policy.verify", told("policy.verify")),
    ("policy.confinement", told("policy.confinement")),
    ("topology", told("topology")),
    ("traffic.journey", told("traffic.journey")),
    ("bench", told("bench", "--minutes", "0.2")),
    ("clean", clean),
)
