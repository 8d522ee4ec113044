from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.core_cases import planned
from tests.support.machines import made_software
from twinstack.errors import StepFailed, TwinstackError, WrongUse
from twinstack.model.placement import Host
from twinstack.model.topology import HostsSpec
from twinstack.overlay import remote, ssh
from twinstack.overlay.flooding import UnderlayTraffic
from twinstack.overlay.host_plans import spread_over_hosts
from twinstack.overlay.protocol import AgentRequest
from twinstack.overlay.remote import Remote
from twinstack.overlay.ssh import Machine
from twinstack.policy.verdict import PolicyVerdict
from twinstack.reconcile import Progress
from twinstack.state import paths

PLAN = planned("tiered")
MACHINES = {name: IPv4Address(f"10.88.0.{11 + i}") for i, name in enumerate(("left", "right"))}


@pytest.fixture(name="asked")
def _asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, AgentRequest]:
    """Give the requests that machines get, by machine; each answers with no states."""
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    monkeypatch.setattr(paths, "LIB", tmp_path / "lib")
    monkeypatch.setattr(remote, "require_root", lambda _task: None)
    monkeypatch.setattr(remote, "survey", lambda _machine: frozenset())
    monkeypatch.setattr(remote, "upload", lambda *_: 0)
    asked: dict[str, AgentRequest] = {}

    def ask(machine: Machine, request: AgentRequest, *_: object) -> object:
        asked[machine.name] = request
        return "the end" if request.action == "logs" else []

    monkeypatch.setattr(remote, "_ask_agent", ask)
    return asked


def world(tmp_path: Path, *, bare: bool) -> Remote:
    spread = spread_over_hosts(PLAN, HostsSpec(machines=MACHINES))
    hosts = [Machine(Host(name, address), ("sh", "-c")) for name, address in MACHINES.items()]
    software = made_software(tmp_path)
    return Remote(PLAN, spread, "text", hosts, lambda _: software, lambda: software, bare=bare)


def test_a_machine_gets_the_secrets_and_software_of_its_own_replicas(
    asked: dict[str, AgentRequest], tmp_path: Path
):
    there = world(tmp_path, bare=False)
    states = there.up(timeout_s=7, progress=lambda _line: None)
    assert {state.detail for state in states} == {"its machine did not answer"}
    for host, request in asked.items():
        own = [replica for replica in PLAN.replicas if there.spread.where[replica.name] == host]
        assert (request.action, request.timeout_s) == ("up", 7)
        assert set(request.secrets) == {replica.service for replica in own if replica.secrets}
        assert request.software is not None
        roles = set(request.software) - {"supervisor", "srv"}
        assert roles == {replica.role for replica in own}
    assert set(asked) == set(MACHINES)


def test_bare_networks_need_neither_secrets_nor_software(
    asked: dict[str, AgentRequest], tmp_path: Path
):
    world(tmp_path, bare=True).up(timeout_s=7, progress=lambda _line: None)
    assert [(request.secrets, request.software) for request in asked.values()] == [({}, None)] * 2
    assert all(request.options.bare for request in asked.values())


def test_a_log_is_read_on_the_replicas_own_machine(asked: dict[str, AgentRequest], tmp_path: Path):
    there = world(tmp_path, bare=True)
    assert there.logs("redis-cache", lines=3) == "the end"
    assert set(asked) == {there.spread.where["redis-cache"]}
    with pytest.raises(TwinstackError):
        there.logs("nobody", lines=3)


def test_a_command_runs_on_the_machine_that_is_named(tmp_path: Path) -> None:
    there = world(tmp_path, bare=True)
    assert there.exec(next(iter(MACHINES)), ["sh", "-c", "exit 4"], terminal=False) == 4
    with pytest.raises(WrongUse, match=r"^nowhere: is no host: "):
        there.exec("nowhere", ["true"], terminal=False)


#: What an agent does with its request, its progress, and until its channel is closed.
Agent = Callable[[Machine, AgentRequest, Progress, threading.Event], object]
VERDICT = PolicyVerdict("net", "tiered", (), 9, (), ("br-backend",), 1.5)


def _stay(machine: Machine, progress: Progress, stop: threading.Event) -> NoReturn:
    progress(f"{machine.name}: listening")
    assert stop.wait(10), "it listens for ever"
    raise ssh.Stopped(f"host {machine.name}", "was stopped")


@pytest.fixture(name="answering")
def _answering(asked: object, monkeypatch: pytest.MonkeyPatch) -> Callable[[Agent], None]:
    """Replace what the machines' agents do."""

    def answering(agent: Agent) -> None:
        monkeypatch.setattr(remote, "_ask_agent", lambda *given: agent(*given[:4]))

    return answering


def test_machines_are_asked_while_every_one_of_them_listens_and_no_longer(
    answering: Callable[[Agent], None], tmp_path: Path
):
    listening: set[str] = set()

    def agent(
        machine: Machine, request: AgentRequest, progress: Progress, stop: threading.Event
    ) -> object:
        if request.action == "verify":
            assert listening == set(MACHINES)
            return asdict(VERDICT)
        listening.add(machine.name)
        try:
            _stay(machine, progress, stop)
        finally:
            listening.remove(machine.name)

    answering(agent)
    assert world(tmp_path, bare=True).verify() == dict.fromkeys(MACHINES, VERDICT)
    assert listening == set()


@pytest.mark.parametrize("begun", [False, True])
def test_without_a_listener_to_the_end_there_is_no_verdict(
    answering: Callable[[Agent], None], tmp_path: Path, begun: bool
):
    lost = threading.Event()

    def agent(
        machine: Machine, request: AgentRequest, progress: Progress, stop: threading.Event
    ) -> object:
        if request.action == "verify":
            assert begun
            lost.set()
            return asdict(VERDICT)
        if machine.name == "left":
            _stay(machine, progress, stop)
        if begun:
            progress("right: listening")
            assert lost.wait(10)
        raise StepFailed("host right", "cannot be reached")

    answering(agent)
    with pytest.raises(StepFailed, match=r"^host right: cannot be reached$"):
        world(tmp_path, bare=True).verify()


def test_what_the_machines_saw_of_the_underlay_is_added_up(
    answering: Callable[[Agent], None], tmp_path: Path
):
    seen = {"left": UnderlayTraffic(3, 300, 2, 1, longest=90), "right": UnderlayTraffic(1, 80, 1)}

    def agent(
        machine: Machine, request: AgentRequest, progress: Progress, stop: threading.Event
    ) -> object:
        assert (request.action, request.seconds) == ("watch", 7)
        return asdict(seen[machine.name])

    answering(agent)
    whole = world(tmp_path, bare=True).watch(7, lambda _line: None)
    assert whole == UnderlayTraffic(4, 380, 3, 1, longest=90)


def test_a_machine_that_fails_ends_the_watch_of_the_others(
    answering: Callable[[Agent], None], tmp_path: Path
):
    def agent(
        machine: Machine, _request: AgentRequest, _progress: Progress, stop: threading.Event
    ) -> object:
        if machine.name == "right":
            raise StepFailed("host right", "cannot be reached")
        assert stop.wait(10), "it watches on"
        raise ssh.Stopped("host left", "was stopped")

    answering(agent)
    with pytest.raises(StepFailed, match=r"^host right: cannot be reached$"):
        world(tmp_path, bare=True).watch(600, lambda _line: None)
