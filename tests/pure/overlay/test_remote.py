from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.support.core_cases import planned
from tests.support.machines import made_software
from twinstack.errors import TwinstackError, WrongUse
from twinstack.model.placement import Host
from twinstack.model.topology import HostsSpec
from twinstack.overlay import remote
from twinstack.overlay.host_plans import spread_over_hosts
from twinstack.overlay.protocol import AgentRequest
from twinstack.overlay.remote import Remote
from twinstack.overlay.ssh import Machine
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
