"""Each path to another host answers and is proved, in networks laid as a Swarm's are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any

import pytest

from bench.questions import hosts
from bench.questions.rungs import engines, sides
from bench.questions.rungs.course import KINDS
from bench.questions.rungs.engines import TaskEnd
from bench.questions.rungs.pair import inside
from tests.support.project import ROOT
from twinstack.linux import br_netfilter
from twinstack.linux.process import run
from twinstack.stack import Stack

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces"),
]
PLAN = Stack("tcross", ROOT / "topology.yml").plan("tiered")


def laid(near: int, far: int, *tasks: int) -> str:
    """Join two hosts by a wire, and three tasks by a bridge on the first, as an overlay joins."""
    lines = ["ip link add br0 type bridge", "ip link set br0 up"]
    lines.append(f"ip link add wire netns {near} type veth peer name wire netns {far}")
    for number, host in enumerate((near, far), start=1):
        enter = f"nsenter --net=/proc/{host}/ns/net ip"
        lines += [f"{enter} address add 192.0.2.{number}/24 dev wire", f"{enter} link set wire up"]
    for number, task in enumerate(tasks, start=1):
        enter = f"nsenter --net=/proc/{task}/ns/net ip"
        lines.append(f"ip link add t{number} type veth peer name eth0 netns {task}")
        lines.append(f"ip link set t{number} master br0 up")
        lines.append(f"{enter} address add 203.0.113.{number}/24 dev eth0")
        lines.append(f"{enter} link set eth0 up")
    return "\n".join(lines)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    br_netfilter.load()
    with sides.laid("a Swarm", 5, laid) as (near, far, *tasks):
        nodes = [
            SimpleNamespace(enter=tuple(inside(pid)), address=IPv4Address(f"192.0.2.{number}"))
            for number, pid in enumerate((near, far), start=1)
        ]
        ends = [
            TaskEnd(pid, IPv4Address(f"203.0.113.{number}"))
            for number, pid in enumerate(tasks, start=1)
        ]
        monkeypatch.setattr(engines, "swarm_ends", lambda _: ends)
        yield SimpleNamespace(nodes=nodes)


def test_every_path_answers_and_is_proved_and_leaves_nothing(world: Any) -> None:
    for name, make in hosts.paths(world, PLAN).items():
        with make(name) as place:
            assert place.prove()
            for kind in KINDS:
                assert place.run(kind, 5.0, 20).done == 20
    for node in world.nodes:
        assert "raw" not in run([*node.enter, "ip", "-o", "link"]).stdout
