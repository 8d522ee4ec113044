"""Each local rung comes up, answers and is proved; a sabotaged path is not; nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from bench.questions.rungs import course, layers, sides
from bench.questions.rungs.course import KINDS
from bench.questions.rungs.pair import inside
from tests.support.project import ROOT
from twinstack.errors import CannotTell
from twinstack.linux import cgroup, procfs
from twinstack.linux.process import run
from twinstack.stack import Stack

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces"),
]
PLAN = Stack("tladder", ROOT / "topology.yml").plan("tiered")


def networks(parent: int) -> set[str]:
    """Name the networks of the descendants of a process."""
    found, family = set(), {parent}
    for pid in sorted(procfs.pids()):
        with suppress(OSError, KeyError):
            if int(procfs.read_status(pid)["PPid"]) in family:
                family.add(pid)
                found.add(os.readlink(f"/proc/{pid}/ns/net"))
    return found - {os.readlink("/proc/self/ns/net")}


def left(own: set[str]) -> set[str]:
    """Name those of the networks that a process is still in, and cgroups of the ladder."""
    spaces = set()
    for pid in procfs.pids():
        with suppress(OSError):
            spaces.add(os.readlink(f"/proc/{pid}/ns/net"))
    groups = (mount / "twinstack/tladder" for mount in cgroup.read_layout().mounts.values())
    return own & spaces | {str(group) for group in groups if group.exists()}


@pytest.mark.parametrize("name", course.settings())
def test_a_setting_answers_and_every_rung_of_it_is_proved(name: str) -> None:
    with layers.place(name, course.settings()[name], PLAN) as place:
        proofs = place.prove()
        assert set(course.shown(course.settings()[name])) <= proofs.keys()
        for kind in KINDS:
            assert place.run(kind, 5.0, 20).done == 20


@pytest.mark.parametrize("rung", sides.SIDES, ids=lambda rung: rung.name)
def test_a_rung_beside_the_ladder_answers_and_is_proved(rung: sides.SideRung) -> None:
    if why := rung.lacks():  # none of its packages is one that set-up installs
        assert why.endswith("is missing")
        return
    with rung.place(rung.name) as place:
        assert rung.name in place.prove()


@pytest.mark.parametrize(
    ("name", "sabotage", "rung"),
    [
        ("bridge", ["ip", "link", "set", "ve-s", "nomaster"], "lost a request"),
        ("br_netfilter", ["iptables", "-F", "FORWARD"], "br_netfilter"),
        ("br_netfilter", ["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"], "br_netfilter"),
        ("conntrack", ["iptables", "-D", "FORWARD", "1"], "conntrack"),
        ("policy", ["iptables", "-F", "FORWARD"], "policy|br_netfilter"),
        ("DNAT", ["iptables", "-t", "nat", "-F", "PREROUTING"], "lost a request"),
    ],
)
def test_a_sabotaged_path_is_not_proved(
    name: str, sabotage: list[str], rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.questions.rungs.pair._PATIENCE_S", 1.0)
    with layers.place(name, course.settings()[name], PLAN) as place:
        place.prove()
        run([*inside(place.between), *sabotage])
        with pytest.raises(CannotTell, match=rung):
            place.prove()


def test_nothing_is_left_also_after_a_kill() -> None:
    program = (
        "import time\nfrom pathlib import Path\nfrom twinstack.stack import Stack\n"
        "from bench.questions.rungs import course, layers\n"
        "plan = Stack('tladder', Path('topology.yml')).plan('tiered')\n"
        "with layers.place('log: json', course.settings()['log: json'], plan):\n"
        "    print('up', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        own = networks(child.pid)
        assert len(own) == 3
        assert len(left(own)) > 3
        child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 15
    while left(own) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left(own)
