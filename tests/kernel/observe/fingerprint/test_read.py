"""One difference made in a real process, or in its network, is one key of its fingerprint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.bench_fakes import PLAN
from tests.support.loopback import in_own_netns
from tests.support.project import ROOT
from twinstack.confinement import seccomp
from twinstack.linux.ptrace import seccomp_filters
from twinstack.observe.fingerprint.network import network_values
from twinstack.observe.fingerprint.process import process_values, renaming

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
REPLICA = PLAN.replica("nginx-lb")
SLEEP = ("/bin/sh", "-c", "echo; exec sleep 60")
#: Loads the services' own filter, then goes on as the others do.
FILTERED = (
    "import ctypes, os, sys; program = bytes.fromhex(sys.argv[1]);"
    "buffer = ctypes.create_string_buffer(program, len(program));"
    "fprog = type('F', (ctypes.Structure,), {'_fields_': [('n', ctypes.c_ushort),"
    " ('p', ctypes.c_void_p)]})(len(program) // 8, ctypes.addressof(buffer));"
    "assert ctypes.CDLL(None).prctl(22, 2, ctypes.byref(fprog), 0, 0) == 0;"
    "os.execv(sys.argv[2], sys.argv[2:])"
)


@contextmanager
def running(*prefix: str) -> Iterator[int]:
    """Give the pid of a process that sleeps, once it does."""
    clean = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        [*prefix, *SLEEP], stdout=subprocess.PIPE, env=clean, cwd=ROOT
    ) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline() == b"\n"
            while Path(f"/proc/{started.pid}/comm").read_text() != "sleep\n":
                assert started.poll() is None
            yield started.pid
        finally:
            started.send_signal(signal.SIGKILL)


def read(pid: int) -> dict[str, str]:
    filters = seccomp_filters([pid])[pid]
    return dict(process_values(REPLICA, pid, frozenset(), renaming(PLAN, "net"), filters))


def changed(first: dict[str, str], second: dict[str, str]) -> set[str]:
    return {key for key in first | second if first.get(key) != second.get(key)}


SET_SLACK = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(29, 70000);os.execv(sys.argv[1], sys.argv[1:])"
)
MOUNTED = 'mount -t tmpfs -o size=4m none /dev/shm && exec "$@"'


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("env EXTRA=1", {"env.EXTRA"}),
        ("env LD_PRELOAD=libm.so.6", {"env.LD_PRELOAD", "libraries"}),
        ("prlimit --nofile=100:100", {"rlimit.nofile"}),
        ("nice -n 5", {"sched.nice"}),
        ("chrt --batch 0", {"sched.policy"}),
        ("taskset 1", {"sched.cpus"}),
        ("choom -n 100 --", {"oom_score_adj"}),
        ("setarch -R", {"personality"}),
        ("setpriv --no-new-privs", {"no_new_privs"}),
        ("setpriv --bounding-set -sys_admin", {"capabilities.effective", "capabilities.bounding"}),
        ("unshare --ipc", {"namespaces"}),
    ],
)
def test_a_difference_of_a_process_is_seen_and_nothing_else(
    prefix: str, expected: set[str]
) -> None:
    with running() as plain, running(*prefix.split()) as other:
        assert changed(read(plain), read(other)) == expected


def test_mounts_timer_slack_and_output_are_seen(tmp_path: Path) -> None:
    with (
        running() as plain,
        running("unshare", "--mount", "sh", "-c", MOUNTED, "sh") as mounted,
        running(sys.executable, "-c", SET_SLACK) as slack,
        running("sh", "-c", f'exec "$@" 2>>{tmp_path}/log', "sh") as logged,
    ):
        assert changed(read(plain), read(mounted)) == {"namespaces", "mount./dev/shm"}
        assert changed(read(plain), read(slack)) == {"timer_slack_ns"}
        assert changed(read(plain), read(logged)) == {"stderr"}
        assert read(logged)["stderr"] == "file append"


def test_a_seccomp_filter_is_told_by_its_length() -> None:
    compiled = seccomp.compiled().program
    longer = compiled + "06000000000000ff"  # an instruction that is never reached
    readings = []
    for program in (compiled, compiled, longer):
        with running(sys.executable, "-c", FILTERED, program) as pid:
            readings.append(read(pid))
    first, again, other = readings
    assert changed(first, again) == set()
    assert changed(first, other) == {"seccomp.program"}
    with running() as plain:
        expected = {"seccomp.mode", "seccomp.filters", "seccomp.program"}
        assert expected <= changed(first, read(plain))


def test_a_process_goes_on_after_its_filters_were_read() -> None:
    with running() as pid:
        seccomp_filters([pid])
        status = Path(f"/proc/{pid}/status").read_text()
        assert "TracerPid:\t0" in status
        assert "State:\tS" in status


def sh(*lines: str) -> None:
    for line in lines:
        subprocess.run(line.split(), check=True)


NETWORK = (
    "ip link add br-app type bridge",
    "ip link add ve-x type veth peer name eth0 numtxqueues 1 numrxqueues 1",
    "ip link set ve-x master br-app up",
    "ip link set br-app up",
)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sysctl -qw net.ipv4.tcp_sack=0", {"sysctl.net.ipv4.tcp_sack"}),
        ("nsenter --net={inside} ip link set eth0 mtu 1400", {"link.mtu"}),
        ("nsenter --net={inside} ip link set eth0 txqueuelen 7", {"link.txqlen"}),
        ("nsenter --net={inside} tc qdisc add dev eth0 root pfifo", {"link.qdisc"}),
        ("ip link set ve-x gso_max_size 4096", {"host_end.gso_max_size"}),
        ("bridge link set dev ve-x hairpin on", {"port"}),
        ("bridge link set dev ve-x learning off", {"port"}),
        ("ip link set br-app type bridge nf_call_iptables 1", {"bridge"}),
        ("iptables -t mangle -A FORWARD -i br-app", {"iptables.mangle", "host.iptables"}),
        ("iptables -A INPUT -s 192.0.2.1", {"host.iptables"}),
        ("iptables -P FORWARD DROP", {"host.forward"}),
        ("iptables -N TS-main-FROM", set()),
        (
            "nsenter --net={inside} iptables -t nat -A OUTPUT -d 192.0.2.1",
            {"netfilter", "conntrack"},
        ),
    ],
)
def test_a_difference_of_a_network_is_seen_and_nothing_else(
    command: str, expected: set[str]
) -> None:
    def work() -> set[str]:
        sh(*NETWORK)
        with running("unshare", "--net") as pid:
            sh(f"ip link set eth0 netns {pid}")
            before = observed(pid)
            if command.startswith("sysctl"):
                sh(f"nsenter --target {pid} --net {command}")
            else:
                sh(command.format(inside=f"/proc/{pid}/ns/net"))
            return changed(before, observed(pid))

    assert in_own_netns(work) == expected


def observed(pid: int) -> dict[str, str]:
    found = network_values(PLAN, "net", {"nginx-lb": pid}, None)
    return {**found.replicas["nginx-lb"], **found.world}


def test_a_policy_is_seen_by_the_chains_that_are_entered() -> None:
    def work() -> tuple[str, str]:
        sh("iptables -N TS-main-FORWARD", "iptables -A TS-main-FORWARD -j DROP")
        with running("unshare", "--net") as pid:
            before = observed(pid)["policy"]
            sh("iptables -A FORWARD -i br-app -j TS-main-FORWARD")
            return before, observed(pid)["policy"]

    assert in_own_netns(work) == ("off", "on")
