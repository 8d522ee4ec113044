"""Many namespaces come and go; their state equals that of the kernel's floor.

How fast is measured by `invoke check.scale`, not here: a figure of a busy machine decides nothing.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.questions.provisioning import contenders, files, topologies
from tests.support.sandbox import Sandbox, eventually, snapshot
from twinstack.namespaces.steps import NAMESPACE_SYSCTLS, Bridge, VethPair, network_steps

pytestmark = pytest.mark.kernel

#: What no two makings of a link have in common.
_ITS_OWN = {
    "ifindex",
    "address",
    "link_index",
    "link_netnsid",
    "ifalias_index",
    "stats64",
    "broadcast",
    "netns-immutable",
    "parentbus",
    "parentdev",
}


@pytest.fixture(scope="module", autouse=True)
def used_tables(host: Sandbox) -> None:
    """Use iptables once: its tables stay on a host, and the floor would leave them behind."""
    for table in ("raw", "nat", "filter"):
        host.run("iptables", "-t", table, "-P", "OUTPUT", "ACCEPT")


@pytest.fixture
def size(full: bool) -> int:
    return 1000 if full else 100


def _ours(host: Sandbox, what: str, size: int) -> dict[str, float]:
    words = (
        sys.executable,
        "-m",
        "bench.questions.provisioning.ours",
        what,
        str(size),
        host.instance,
    )
    return dict(json.loads(host.run(*words).stdout))


def _state(host: Sandbox, size: int) -> dict[str, Any]:
    """Read what is there: all of the host, and the first, a middle and the last namespace."""
    plan = topologies.plan(size, host.instance)
    pairs = [step for step in network_steps(plan) if isinstance(step, VethPair)]
    bridges = [step for step in network_steps(plan) if isinstance(step, Bridge)]
    some = [pairs[0], pairs[len(pairs) // 2], pairs[-1]]
    rules = host.run("sh", "-c", "iptables-save | grep -E '^(-A|:TS-)' | sed 's/\\[.*\\]//'").stdout
    links = json.loads(host.run("ip", "-j", "link", "show").stdout)
    return {
        "rules": rules.splitlines(),
        "pins": host.run("ls", "/run/netns").stdout.split(),
        "links": sorted(link["ifname"] for link in links),
        "forwarding": host.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip(),
        "bridges": {link.link: _look(host, link.link) for link in bridges},
        "ends": {link.host_end: _look(host, link.host_end) for link in some},
        "inside": {link.namespace: _inside(host, link) for link in some},
    }


def _inside(host: Sandbox, pair: VethPair) -> dict[str, Any]:
    enter = ("nsenter", f"--net=/run/netns/{pair.namespace}", "--")
    keys = [key for key, _ in NAMESPACE_SYSCTLS]
    return {
        "lo": _look(host, "lo", *enter),
        pair.link: _look(host, pair.link, *enter),
        "routes": json.loads(host.run(*enter, "ip", "-j", "route", "show", "table", "all").stdout),
        "sysctls": host.run(*enter, "sysctl", *keys).stdout.splitlines(),
    }


def _look(host: Sandbox, link: str, *enter: str) -> list[dict[str, Any]]:
    """Give a link with its addresses and its kind's details, without what is its own."""
    shown = json.loads(host.run(*enter, "ip", "-j", "-d", "address", "show", "dev", link).stdout)
    return [_plain(entry) for entry in shown if entry]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        # Timers and identifiers run on; what they belong to is the same.
        return {
            key: _plain(part)
            for key, part in value.items()
            if key not in _ITS_OWN and not key.endswith(("_id", "_timer", "root_port"))
        }
    return value


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to make the floor with")
def test_what_comes_up_is_what_the_floor_makes_and_nothing_of_either_is_left(
    host: Sandbox, size: int, tmp_path: Path, tell
) -> None:
    before = _snapshot(host)

    up = _ours(host, "up", size)
    ours = _state(host, size)
    down = _ours(host, "down", size)
    assert _settled(host) == before

    program = contenders.compile_floor(tmp_path)
    place = files.write(tmp_path, size, host.instance)
    spec = str(place / "spec")
    floor_up = json.loads(host.run(program, "up", spec, str(place / "up.rules")).stdout)
    floor = _state(host, size)
    floor_down = json.loads(host.run(program, "down", spec, str(place / "down.rules")).stdout)
    assert _settled(host) == before

    assert len(ours["pins"]) == size
    assert ours == floor
    tell(
        f"{size} namespaces: up {up['total']:.0f} ms (the floor {floor_up['total']:.0f}), "
        f"down {down['total']:.0f} ms (the floor {floor_down['total']:.0f})"
    )


def test_a_second_up_of_many_finds_nothing_to_do(host: Sandbox, size: int) -> None:
    before = _snapshot(host)
    _ours(host, "up", size)
    ours = _state(host, size)

    again = _ours(host, "up", size)

    steps = set(again) - {"total", "cpu", "plan", "look"}
    assert (steps, _state(host, size)) == (set(), ours)
    _ours(host, "down", size)
    assert _settled(host) == before


def _settled(host: Sandbox) -> dict[str, str]:
    """Give the snapshot once the kernel has cleared the last namespace away behind our back."""
    eventually(lambda: "ve-" not in host.run("ip", "-o", "link").stdout, within_s=30)
    return _snapshot(host)


def _snapshot(host: Sandbox) -> dict[str, str]:
    """Leave out mounts of others that the sandbox inherited: they end when their directory does."""
    classes = snapshot(host)
    ours = [
        mount
        for mount in classes["mounts"].splitlines()
        if " /run" in mount or "twinstack/" in mount
    ]
    return {**classes, "mounts": "\n".join(ours)}
