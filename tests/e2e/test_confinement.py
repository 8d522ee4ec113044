"""The namespace world confines its processes as declared, also after a restart; gaps are found."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.core_cases import planned
from tests.support.sandbox import Sandbox, eventually

pytestmark = pytest.mark.e2e

#: Calls that the kernel would let any user make, or would refuse for another reason than EPERM.
#: Arguments that nothing can come of. PTRACE_TRACEME, KEYCTL_GET_KEYRING_ID, CLONE_NEWUSER.
CALLS: dict[str, tuple[int, ...]] = {
    "unshare": (0x10000000,),
    "ptrace": (0, 0, 0, 0),
    "keyctl": (0, -3, 1),
    "add_key": (0, 0, 0, 0, -3),
    "io_uring_setup": (1, 0),
    "userfaultfd": (1,),
    "perf_event_open": (0, 0, -1, -1, 0),
    "setns": (-1, 0),
    "process_vm_readv": (0, 0, 0, 0, 0, 0),
    "name_to_handle_at": (-1, 0, 0, 0, 0),
    "bpf": (0, 0, 0),
    "mount": (0, 0, 0, 0, 0),
    "clone3": (0, 0),
    "open_tree": (-1, 0, 0),
    "fsopen": (0, 0),
    "kcmp": (0, 0, 99, 0, 0),
}
#: Refused to an unprivileged user in any case.
BY_CAPABILITY = {"bpf", "mount", "perf_event_open", "fsopen", "open_tree"}

_ASK = r"""
$| = 1;
for (split / /, "%(calls)s") {
    my ($name, $number, @arguments) = split /:/;
    my $done = syscall($number, map { $_ + 0 } @arguments);
    print "call $name ", $done == -1 ? $!+0 : 0, "\n";
}
for my $path (qw(/new /etc/new /run/new /dev/new /srv/twinstack/new /proc/sys/kernel/core_pattern
                 /tmp/new /dev/shm/new)) {
    print "write $path ", (open(my $file, ">", $path) ? 0 : $!+0), "\n";
}
print "see ", join(" ", grep { /^\d+$/ && (stat "/proc/$_")[4] != $< } map { s{/proc/}{}r }
                    glob "/proc/[0-9]*"), "\n";
open my $name, "<", "/proc/sys/kernel/hostname"; print "host ", <$name>;
print "done\n";
"""


@pytest.fixture(scope="module")
def calls() -> str:
    library = ctypes.CDLL("libseccomp.so.2")
    numbers = {name: library.seccomp_syscall_resolve_name(name.encode()) for name in CALLS}
    return " ".join(
        ":".join(map(str, (name, numbers[name], *words))) for name, words in CALLS.items()
    )


def ask(host: Sandbox, calls: str, *, filtered: bool) -> dict[str, dict[str, str]]:
    """Start redis-cache's own launch script, with a question in Redis' place."""
    run = f"/run/twinstack/{host.instance}"
    text = host.run("cat", f"{run}/launch/redis-cache").stdout
    log, script = f"{run}/question.log", f"{run}/question"
    text = re.sub(r"/\S+/redis-cache\.log", log, text)
    before, command, _ = text.rpartition("/usr/bin/redis-server")
    assert command
    before, count = re.subn(r'"\$tries" -lt \d+', '"$tries" -lt 0', before)
    assert count == 1  # Redis itself, which is there, is not to go
    if not filtered:
        before, count = re.subn(r"syscall\(\d+, 22, 2, \$program\) == 0", "1", before)
        assert count == 1
    question = shlex.join(("/usr/bin/perl", "-e", _ASK % {"calls": calls}))
    host.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", before + question + "\n", script)
    try:
        host.run("sh", script)
        answer = host.run("cat", log).stdout
    finally:
        host.run("rm", "-f", script, log)
    assert answer.endswith("done\n"), answer
    answers: dict[str, dict[str, str]] = {"call": {}, "write": {}, "see": {}, "host": {}}
    for line in answer.splitlines()[:-1]:
        kind, _, rest = line.partition(" ")
        key, _, value = rest.partition(" ")
        answers[kind][key] = value
    return answers


def test_a_service_can_neither_call_write_nor_see_beyond_its_needs(
    flat: Sandbox, calls: str
) -> None:
    answers = ask(flat, calls, filtered=True)
    refused = {name: int(code) for name, code in answers["call"].items()}
    expected = {**dict.fromkeys(CALLS, errno.EPERM), "clone3": errno.ENOSYS}
    assert refused == expected
    written = {path for path, code in answers["write"].items() if code == "0"}
    assert written == {"/tmp/new", "/dev/shm/new"}
    assert answers["see"] == {"": ""}  # no process of another user, though /proc holds the host's
    assert answers["host"] == {"redis-cache": ""}


def test_it_is_the_filter_that_refuses(flat: Sandbox, calls: str) -> None:
    free = ask(flat, calls, filtered=False)["call"]
    let_through = {name for name, code in free.items() if int(code) != errno.EPERM}
    assert let_through >= set(CALLS) - BY_CAPABILITY - {"userfaultfd"}


def confinement(host: Sandbox) -> tuple[int, dict[str, Any]]:
    done = host.invoke("policy.confinement", "--json", check=False)
    assert done.returncode in {0, 1}, done.stderr
    (net,) = json.loads(done.stdout)["worlds"]
    return done.returncode, net


def members(host: Sandbox, replica: str) -> set[int]:
    (file,) = (
        Path("/sys/fs/cgroup").glob(f"*/twinstack/{host.instance}/{replica}/cgroup.procs")
        if not (v1 := Path(f"/sys/fs/cgroup/pids/twinstack/{host.instance}/{replica}")).is_dir()
        else (v1 / "cgroup.procs",)
    )
    return {int(word) for word in file.read_text().split()}


def test_every_process_and_worker_is_held_as_declared(flat: Sandbox) -> None:
    code, document = confinement(flat)
    assert (code, document["weaknesses"]) == (0, [])
    seen = {
        replica["name"]: {process["pid"] for process in replica["processes"]}
        for replica in document["replicas"]
    }
    assert len(seen) == len(planned().replicas)
    for name in ("nginx-lb", "api-gateway", "order-service", "redis-cache"):  # of no passing ones
        assert seen[name] == members(flat, name)
    assert len(seen["nginx-lb"]) >= 2
    assert len(seen["postgres-db"]) >= 5


def test_a_killed_service_comes_back_as_confined_as_before(flat: Sandbox) -> None:
    pids = {name: flat.status()[name]["pid"] for name in ("nginx-lb", "redis-cache")}
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: flat.invoke("net.status", check=False).returncode == 0, within_s=10)
    code, document = confinement(flat)
    assert (code, document["weaknesses"]) == (0, [])
    for replica in document["replicas"]:
        if replica["name"] in pids:
            assert pids[replica["name"]] not in {process["pid"] for process in replica["processes"]}


@contextmanager
def intruder(host: Sandbox, *words: str) -> Iterator[int]:
    """Run a process of root's in redis-cache's cgroup and network."""
    files = [
        str(file)
        for file in Path("/sys/fs/cgroup").rglob(
            f"twinstack/{host.instance}/redis-cache/cgroup.procs"
        )
    ]
    script = 'for file in $1; do echo $$ > "$file"; done; shift; exec "$@"'
    inside = ("ip", "netns", "exec", "redis-cache", *words)
    process = host.start(
        "sh", "-c", script, "sh", " ".join(files), *inside, stdout=subprocess.DEVNULL
    )
    try:
        eventually(lambda: is_inside(process.pid, files), within_s=10)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def is_inside(pid: int, files: list[str]) -> bool:
    """Tell whether a process has moved into the cgroups of these files."""
    return all(str(pid) in Path(file).read_text().split() for file in files)


def test_a_process_that_is_not_confined_is_named_with_all_that_it_lacks(flat: Sandbox) -> None:
    with intruder(flat, "sleep", "60") as pid:
        code, document = confinement(flat)
    assert code == 1
    weakened = {weakness["what"] for weakness in document["weaknesses"] if weakness["pid"] == pid}
    assert {
        "user",
        "group",
        "capabilities",
        "no_new_privs",
        "seccomp",
        "root file system",
        "writable mounts",
    } <= weakened
    assert {weakness["pid"] for weakness in document["weaknesses"]} == {pid}


def test_an_undeclared_port_is_named(flat: Sandbox) -> None:
    script = "import socket,time; s=socket.create_server(('127.0.0.1', 9999)); time.sleep(60)"
    with intruder(flat, sys.executable, "-c", script):
        eventually(
            lambda: "9999" in flat.run("ip", "netns", "exec", "redis-cache", "ss", "-Hltn").stdout,
            within_s=5,
        )
        code, document = confinement(flat)
    assert code == 1
    listening = [
        weakness["observed"]
        for weakness in document["weaknesses"]
        if weakness["what"] == "listening"
    ]
    assert listening == ["tcp 127.0.0.1:9999"]


def test_lifted_limits_are_weaker_than_declared(flat: Sandbox) -> None:
    flat.invoke("net.up", "--no-limits")
    done = flat.invoke("policy.confinement", check=False)
    assert done.returncode == 1
    for what in ("CPU limit in cores", "memory limit in bytes", "pids limit"):
        assert f"! net: {what}: none; declared:" in done.stdout
    flat.invoke("net.up")
    assert confinement(flat)[0] == 0


def test_nothing_can_be_checked_when_no_world_is_up(flat: Sandbox) -> None:
    flat.invoke("net.down")
    done = flat.invoke("policy.confinement", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no world is up" in done.stderr
