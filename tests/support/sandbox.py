"""A host of a test's own: a network and mount namespace with an "internet" on its far side.

Everything a test makes is in there, so nothing of it can meet what runs on the machine. The
processes that hold the namespaces are children of the test run and end with it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import contract, task_server
from tests.support.project import ROOT
from twinstack.namespaces import cgroups

INVOKE = str(Path(sys.executable).with_name("invoke"))
HOST_ADDRESS = "203.0.113.1"
INTERNET_ADDRESS = "203.0.113.10"
#: A run is identified by its pid, short enough for the name of an instance.
_RUNS = 100000

# The software is shared with the machine, read-only; everything else that we keep is private. The
# directory `another` stands for an instance that needs the software too, so `clean` spares it.
_PREPARE_HOST = """
cut -d' ' -f5 /proc/self/mountinfo | grep -E '^/(run|var/lib/twinstack)(/|$)' | tac |
while read -r inherited; do umount --lazy "$inherited" || :; done  # it may go by itself meanwhile
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/roots /run/software
mount --bind /var/lib/twinstack/roots /run/roots
mount --bind /var/lib/twinstack/software /run/software
mount -t tmpfs -o mode=755 tmpfs /var/lib/twinstack
mkdir /var/lib/twinstack/roots /var/lib/twinstack/software /var/lib/twinstack/another
mount --move /run/roots /var/lib/twinstack/roots
mount --move /run/software /var/lib/twinstack/software
mount -o remount,bind,ro /var/lib/twinstack/roots
mount -o remount,bind,ro /var/lib/twinstack/software
rmdir /run/roots /run/software
ip link set lo up
iptables-save > /dev/null
sysctl -qw net.ipv4.ip_local_port_range="1024 65000"
sysctl -qw net.ipv4.ip_forward=0  # a new namespace takes over the machine's
echo ready
exec sleep infinity
"""
_PREPARE_INTERNET = "ip link set lo up; echo ready; exec sleep infinity"


@dataclass(frozen=True)
class Sandbox:
    """A host in namespaces of its own. `instance` is what everything of ours in it is named by."""

    host: int
    internet: int
    instance: str

    def command(self, words: Sequence[str], *, where: str = "host") -> list[str]:
        """Give the words that run a command in there."""
        target = str(self.host if where == "host" else self.internet)
        # Entering a mount namespace loses the working directory.
        inside = ["env", f"--chdir={ROOT}"]
        return ["nsenter", "--target", target, "--net", "--mount", "--", *inside, *words]

    def run(
        self, *words: str, where: str = "host", check: bool = True, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in there to its end."""
        done = subprocess.run(
            self.command(words, where=where),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *words: str, where: str = "host", **options: Any) -> subprocess.Popen[str]:
        """Start a command in there."""
        return subprocess.Popen(
            self.command(words, where=where),
            text=True,
            env=self.environment,
            **{"stdin": subprocess.DEVNULL, **options},
        )

    @property
    def environment(self) -> dict[str, str]:
        """Give the environment of a command in there: nothing that leads to the user's own."""
        leads_out = ("DOCKER_", "TWINSTACK_")
        own = {key: text for key, text in os.environ.items() if not key.startswith(leads_out)}
        return {**own, "TWINSTACK_INSTANCE": self.instance, "COLUMNS": "80"}

    def invoke(
        self, *words: str, check: bool = True, timeout_s: float = 180, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a task as its user does; its JSON is as its schema says."""
        own = {**self.environment, **environment}
        done = task_server.run(self.host, own, words, timeout_s)
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        if "--json" in words:
            contract.check(done.stdout)
        return done

    def calls(self, lines: Sequence[str], **environment: str) -> dict[str, tuple[int, str, str]]:
        """Run tasks in another environment: exit code, output and errors by its line."""
        own = {**self.environment, **environment}
        found = {line: task_server.run(self.host, own, line.split(), 120) for line in lines}
        return {line: (done.returncode, done.stdout, done.stderr) for line, done in found.items()}

    def fetch(self, url: str, *options: str, where: str = "host") -> str:
        """Get a URL with curl; the body, whatever the status."""
        words = ("curl", "-sS", "--max-time", "10", *options, url)
        return self.run(*words, where=where).stdout

    def status(self) -> dict[str, dict[str, Any]]:
        """Ask net.status, by replica."""
        document = json.loads(self.invoke("net.status", "--json", check=False).stdout)
        return {service["name"]: service for service in document["services"]}


@contextmanager
def sandbox(name: str, instance: str = "") -> Iterator[Sandbox]:
    """Give a host of its own while the block lasts, joined to an internet of one address.

    Its instance has the run's pid in its name, unless another is given.
    """
    _end_what_dead_runs_left()
    instance = instance or f"t{os.getpid() % _RUNS}-{name}"
    with _holder(_PREPARE_HOST) as host, _holder(_PREPARE_INTERNET) as internet:
        made = Sandbox(host, internet, instance)
        try:
            _join(made)
            yield made
        finally:
            done = made.invoke("clean", check=False)
            # The holders end now: what a failed clean left would be out of everybody's reach.
            left = _end_what_is_left(made)
            assert (done.returncode, left) == (0, []), f"{left}\n{done.stdout}{done.stderr}"


def _end_what_is_left(made: Sandbox) -> list[str]:
    """Kill what a failed clean left: in the sandbox's own mount namespace, in our cgroups.

    Names what it found; the holder and its children are none of it.
    """
    own = os.stat(f"/proc/{made.host}/ns/mnt").st_ino
    group = f"/twinstack/{made.instance}/"
    killed = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == made.host:
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            within = os.stat(entry / "ns/mnt").st_ino == own and parent != made.host
            if within or group in (entry / "cgroup").read_text():
                killed.append((entry / "cmdline").read_text().replace("\0", " "))
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue
    return killed


def _end_what_dead_runs_left() -> None:
    """End the services of test runs that were killed, by their cgroups; never of one that runs."""
    layout = cgroups.read_layout()
    groups = {
        path.name
        for pattern in ("twinstack/t*-*", "*/twinstack/t*-*")
        for path in Path("/sys/fs/cgroup").glob(pattern)
    }
    # After the look: of a run that starts meanwhile no cgroup was seen.
    alive = {int(entry.name) % _RUNS for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    for group in groups:
        owner = re.match(r"t(\d+)-", group)
        if owner is None or int(owner[1]) in alive:
            continue
        for pid in _supervisors(group):  # first: it would start again what ends
            os.kill(pid, signal.SIGKILL)
        for replica in cgroups.existing(group, layout):
            cgroups.remove(group, replica, layout)
        cgroups.remove_parents(group, layout)


def _supervisors(group: str) -> list[int]:
    """List the supervisors of an instance, by the configuration that they were started with."""
    mark = f"/run/twinstack/{group}/".encode()
    pids = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            if entry.name.isdigit() and mark in words and b"supervisord" in words:
                pids.append(int(entry.name))
    return pids


def _join(made: Sandbox) -> None:
    made.run(
        "ip",
        "link",
        "add",
        "uplink",
        "type",
        "veth",
        "peer",
        "name",
        "isp",
        "netns",
        str(made.internet),
    )
    made.run("ip", "address", "add", f"{HOST_ADDRESS}/24", "dev", "uplink")
    # No address that comes by itself, a second later, in the middle of a comparison.
    made.run("ip", "link", "set", "uplink", "addrgenmode", "none", "up")
    made.run("ip", "address", "add", f"{INTERNET_ADDRESS}/24", "dev", "isp", where="internet")
    made.run("ip", "link", "set", "isp", "addrgenmode", "none", "up", where="internet")
    made.run("ip", "route", "add", "default", "via", INTERNET_ADDRESS)


@contextmanager
def _holder(script: str) -> Iterator[int]:
    words = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec", script]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@contextmanager
def conversing(host: Sandbox, module: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module inside a host while the block lasts, to write to and to read from."""
    process = subprocess.Popen(
        host.command([sys.executable, "-m", module]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=host.environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def eventually(truth: Callable[[], bool], *, within_s: float) -> float:
    """Wait until something is true; give how long it took. Fails when it does not become so."""
    start = time.monotonic()
    while not truth():
        assert time.monotonic() - start < within_s, f"not within {within_s} s"
        time.sleep(0.05)
    return time.monotonic() - start


_LOOKS = {
    "namespaces": "ip netns list",
    "pins": "ls -A /run/netns",
    "links": "ip -o link show | sed 's/^[0-9]*: //; s/@.*//; s/:.*//' | sort",
    "addresses": "ip -o address show | awk '{print $2, $4}' | sort",
    "routes": "ip route show table all | sort",
    "neighbours": "ip -o neigh show | awk '{print $1, $3}' | grep -v uplink",
    "forwarding entries": "bridge fdb show | sort",
    "rules": "iptables-save | grep -v '^#' | sed 's/\\[.*\\]//'",
    "IPv6 rules": "ip6tables-save | grep -v '^#' | sed 's/\\[.*\\]//'",
    "sysctls": "grep -rH . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/route_localnet"
    " | grep -v '/br-'",
    "mounts": "cut -d' ' -f3-5 /proc/self/mountinfo"
    " | grep -v ' /var/lib/\\(docker\\|twinstack-\\)' | sort",
    "run": "find /run | sort",
    "cgroups": "find /sys/fs/cgroup -path '*twinstack/INSTANCE*' -type d | sort",
    "sockets": "ss -Hltnu | awk '{print $1, $5}' | sort",
    "processes": "own=$(stat -Lc %i /proc/self/ns/mnt);"
    " stat -Lc '%i %n' /proc/[0-9]*/ns/mnt | awk -F '[ /]' -v own=$own '$1 == own { print $4 }'"
    " | while read -r pid; do tr '\\0\\n' '  ' < /proc/$pid/cmdline && echo; done"
    # A rotate.sh is between two of its pauses now and then.
    " | grep -v '^sh -c\\|^stat\\|^awk\\|^grep\\|^sort\\|^sleep 5 $\\|^$' | sort",
    # What PostgreSQL keeps within its directory is its own business.
    "data": "find /var/lib/twinstack/INSTANCE -path '*/postgres-db/*' -prune -o -print | sort",
}
_BETWEEN = "~~~~"


def snapshot(made: Sandbox, *, but: Collection[str] = ()) -> dict[str, str]:
    """Write down everything of a host that twinstack could change, class by class."""
    looks = {name: look for name, look in _LOOKS.items() if name not in but}
    script = "".join(f"{{ {look}; }} 2>/dev/null; echo {_BETWEEN}\n" for look in looks.values())
    output = made.run("sh", "-c", script.replace("INSTANCE", made.instance)).stdout
    return dict(zip(looks, output.split(f"{_BETWEEN}\n"), strict=False))


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Name what differs between two snapshots, a line each: - gone, + new."""
    lines = []
    for name, text in after.items():
        was, now = before[name].splitlines(), text.splitlines()
        lines += [f"- {name}: {line}" for line in was if line not in now]
        lines += [f"+ {name}: {line}" for line in now if line not in was]
        if was != now and not lines:
            lines.append(f"~ {name}: in another order or number")
    return lines
