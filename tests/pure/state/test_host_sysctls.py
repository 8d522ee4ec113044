"""A switch of the host goes on with the first who needs it and back with the last."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from twinstack.errors import CannotTell
from twinstack.linux import procfs
from twinstack.state import host_sysctls, paths

KEY = "net.ipv4.ip_forward"


class Host:
    """A /proc and a /run of the test's own."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.run = root / "run"
        self.switch = root / "proc/sys/net/ipv4/ip_forward"
        self.switch.parent.mkdir(parents=True)
        self.switch.write_text("0\n")
        self._patch = patch
        patch.setattr(paths, "RUN", self.run)
        patch.setattr(procfs, "PROC", root / "proc")
        self.links("lo")

    def links(self, *names: str) -> None:
        self._patch.setattr(socket, "if_nameindex", lambda: list(enumerate(names, start=1)))

    def hold(self, holder: str) -> None:
        host_sysctls.hold(KEY, "1", holder)

    def release(self, holder: str) -> tuple[str, ...]:
        return host_sysctls.release(holder)

    @property
    def value(self) -> str:
        return self.switch.read_text().strip()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.mark.parametrize("order", [("net", "engine"), ("engine", "net")])
def test_a_switch_stays_on_until_its_last_holder_lets_go(host: Host, order: tuple[str, str]):
    host.hold("net")
    host.hold("engine")
    assert host.release(order[0]) == ()
    assert host.value == "1"
    assert host.release(order[1]) == (f"sysctl {KEY} (back to 0)",)
    assert host.value == "0"


def test_nothing_is_left_when_nobody_holds_anything(host: Host):
    host.hold("net")
    host.release("net")
    assert list(host.run.iterdir()) == []


def test_holding_twice_is_holding_once(host: Host):
    host.hold("net")
    host.hold("net")
    host.release("net")
    assert host.value == "0"


def test_a_switch_that_was_on_stays_on(host: Host):
    host.switch.write_text("1\n")
    host.hold("net")
    assert host.release("net") == ()
    assert host.value == "1"


def test_a_switch_is_not_turned_off_under_somebody_elses_docker(host: Host):
    host.hold("net")
    host.links("lo", "docker0")
    assert "stays on" in host.release("net")[0]
    assert host.value == "1"


def test_letting_go_of_nothing_changes_nothing(host: Host):
    assert host.release("net") == ()
    assert host.value == "0"


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": {"former": 1, "holders": []}}'])
def test_a_table_that_cannot_be_understood_is_an_error(host: Host, text: str):
    host.run.mkdir()
    (host.run / "switches.json").write_text(text)
    with pytest.raises(CannotTell):
        host.hold("net")
    assert host.value == "0"


def test_the_table_is_where_the_run_directory_is_at_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    held = {"net.ipv4.ip_forward": {"former": "0", "holders": ["t/net"], "value": "1"}}
    (tmp_path / "switches.json").write_text(json.dumps(held))
    monkeypatch.setattr(paths, "RUN", tmp_path)
    assert host_sysctls.held_by("t/net") == {"net.ipv4.ip_forward"}
    assert host_sysctls.former("net.ipv4.ip_forward") == "0"
    assert host_sysctls.former("net.ipv4.tcp_syncookies") is None
