"""Usage is read in a replica's own cgroup and namespace, never in those that all processes share.

The kernel is made up: a procfs and cgroup hierarchies in a folder. A process that starts is in the
root cgroup and in the host's network namespace for its first looks, as the launch script is.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from tests.support.bench_fakes import PLAN
from tests.support.figures import beyond_limits
from tests.support.readings import reading
from twinstack.compose import cgroups as containers
from twinstack.namespaces.world import NamespaceWorld
from twinstack.observe.live.model import Usage
from twinstack.observe.live.samples import sample
from twinstack.observe.live.usage import UsageReader, interfaces

KILLS = 200
NAMES = ("nginx-lb", "redis-cache")
_DEVICE = "{0} 0 0 0 0 0 0 0 {0} 0\n"
DEVICES = f"Inter-| Receive\n face |bytes\n    lo: {_DEVICE}  eth0: {_DEVICE.replace('0}', '1}')}"
MACHINE_MEMORY, MACHINE_CPU_US, MACHINE_BYTES = 3_300_000_000, 9_000_000_000, 10**12


def v1(mounts: Path) -> str:
    lines = [
        f"30 1 0:{place} / {mounts / name} rw - cgroup cgroup rw,{name}\n"
        for place, name in enumerate(("cpu", "cpuacct", "memory", "pids"))
    ]
    return "".join([*lines, f"41 1 0:9 / {mounts / 'unified'} rw - cgroup2 cgroup2 rw\n"])


def v2(mounts: Path) -> str:
    return f"30 1 0:1 / {mounts / 'unified'} rw - cgroup2 cgroup2 rw\n"


@dataclass
class Kernel:
    """A procfs and cgroups in a folder. `version`: which cgroup version limits."""

    root: Path
    version: int
    pids: dict[str, int] = field(default_factory=dict)
    last: int = 100

    def __post_init__(self) -> None:
        self.proc, self.mounts = self.root / "proc", self.root / "cgroup"
        for directory in ("proc/self/ns", "proc/net"):
            (self.root / directory).mkdir(parents=True)
        (self.proc / "self/ns/net").write_text("")  # a file is a namespace: the same one, the same
        write = v1 if self.version == 1 else v2
        (self.proc / "self/mountinfo").write_text(write(self.mounts))
        self.cgroup("", None, MACHINE_CPU_US, MACHINE_MEMORY)
        if self.version == 2:
            (self.mounts / "unified/cgroup.controllers").write_text("cpu memory pids")

    def cgroup(self, path: str, limit: int | None, cpu_us: int, memory: int) -> None:
        """Write a cgroup's files. `limit` of memory in bytes and, with it, one core."""
        stat = "inactive_file 0\n"
        if self.version == 1:
            files = {
                "cpu/cpu.cfs_quota_us": "100000" if limit else "-1",
                "cpu/cpu.cfs_period_us": "100000",
                "cpu/cpu.stat": "throttled_time 0\n",
                "cpuacct/cpuacct.usage": f"{cpu_us * 1000}",
                "memory/memory.limit_in_bytes": f"{limit or 1 << 62}",
                "memory/memory.usage_in_bytes": f"{memory}",
                "memory/memory.stat": stat,
            }
        else:
            files = {
                "unified/cpu.stat": f"usage_usec {cpu_us}\nthrottled_usec 0\n",
                "unified/memory.stat": stat,
            }
            if path:  # the root has neither limits nor a figure of memory
                files |= {
                    "unified/cpu.max": f"{100000 if limit else 'max'} 100000",
                    "unified/memory.max": f"{limit or 'max'}",
                    "unified/memory.current": f"{memory}",
                }
        for name, text in files.items():
            mount, _, file = name.partition("/")
            (self.mounts / mount / path).mkdir(parents=True, exist_ok=True)
            (self.mounts / mount / path / file).write_text(text)

    def process(self, path: str, namespace: Path, received: int) -> int:
        """Start a process in a cgroup and a network namespace."""
        self.last += 1
        folder = self.proc / str(self.last)
        (folder / "ns").mkdir(parents=True)
        (folder / "net").mkdir()
        self.move(self.last, path, namespace, received)
        return self.last

    def move(self, pid: int, path: str, namespace: Path, received: int) -> None:
        """Let a process join a cgroup and a network namespace."""
        folder = self.proc / str(pid)
        names = ("cpu", "cpuacct", "memory", "pids") if self.version == 1 else ()
        lines = [f"{place}:{name}:/{path}\n" for place, name in enumerate(names, start=1)]
        unified = path if self.version == 2 else ""
        (folder / "cgroup").write_text("".join([*lines, f"0::/{unified}\n"]))
        (folder / "ns/net").unlink(missing_ok=True)
        os.link(namespace, folder / "ns/net")
        (folder / "net/dev").write_text(DEVICES.format(MACHINE_BYTES, received))

    def kill(self, pid: int) -> None:
        shutil.rmtree(self.proc / str(pid))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("world", ["net", "docker"])
def test_a_service_that_is_killed_and_started_is_never_charged_with_the_whole_machine(
    tmp_path: Path, version: int, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(tmp_path, version)
    limits = {one.name: one.limits for one in PLAN.replicas}
    ids = {name: f"{place:064x}" for place, name in enumerate(NAMES, start=1)}
    net = NamespaceWorld(PLAN, lambda _: pytest.fail("needs no software"))
    own = {name: path.strip("/") for name, path in net.cgroup_paths().items()}
    if world == "docker":
        own = {name: f"docker/{identity}" for name, identity in ids.items()}
    monkeypatch.setattr(containers, "PROC", kernel.proc)

    def cgroup_paths() -> dict[str, str]:
        if world == "net":
            return net.cgroup_paths()
        named = {name: containers.container_path(pid, ids[name]) for name, pid in pids.items()}
        return {name: path for name, path in named.items() if path}

    host = kernel.proc / "self/ns/net"
    pins = {name: tmp_path / f"netns-{name}" for name in NAMES}
    pids: dict[str, int] = {}
    for place, name in enumerate(NAMES):
        pins[name].write_text("")
        bound = limits[name]
        assert bound is not None
        kernel.cgroup(own[name], bound.memory_bytes, 1_000 * place, 5_000_000 + place)
        pids[name] = kernel.process(own[name], pins[name], 70)
    reader = UsageReader(cgroup_paths, kernel.proc)
    shown = 0
    for number in range(KILLS):
        name = NAMES[number % 2]
        kernel.kill(pids[name])
        assert name not in reader.read(pids, 0.0)
        pids[name] = kernel.process("", host, MACHINE_BYTES)
        for step in range(4):  # the launch script joins one after the other
            if step == 2:
                kernel.move(pids[name], own[name], host, MACHINE_BYTES)
            if step == 3:
                kernel.move(pids[name], own[name], pins[name], 70)
            usage = reader.read(pids, float(number))
            assert NAMES[(number + 1) % 2] in usage
            for used in usage.values():
                assert used.memory_bytes < 6_000_000
                assert used.cpu_us < 10_000
                assert (used.received_bytes, used.sent_bytes) == (70, 70)
            shown += name in usage
            if name in usage:
                bound = limits[name]
                assert bound is not None
                assert (usage[name].memory_limit, usage[name].cpu_limit) == (bound.memory_bytes, 1)
    assert shown == KILLS  # and it is shown again as soon as it is where it belongs


def test_the_root_cgroup_is_no_services(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 1)
    pin = tmp_path / "netns"
    pin.write_text("")
    kernel.cgroup("ours", 64_000_000, 1, 1)
    pids = {"nginx-lb": kernel.process("ours", pin, 70)}

    def read(path: str) -> dict[str, Usage]:
        return UsageReader(lambda: {"nginx-lb": path}, kernel.proc).read(pids, 0.0)

    assert read("/ours")["nginx-lb"].memory_limit == 64_000_000
    for path in ("", "/", "//", "/absent"):
        assert read(path) == {}


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        ("4:memory:/\n0::/\n", None),
        ("4:memory:/docker/abc\n0::/\n", "/docker/abc"),
        ("0::/system.slice/docker-abc.scope\n", "/system.slice/docker-abc.scope"),
        ("0::/docker/other\n", None),
        ("0::/docker/abc/inner\n", None),  # what a container makes below its own
    ],
)
def test_a_containers_cgroup_is_named_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str, found: str | None
) -> None:
    monkeypatch.setattr(containers, "PROC", tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text(cgroup)
    assert containers.container_path(7, "abc") == found
    assert containers.container_path(8, "abc") is None


def test_interfaces_are_added_up_without_the_loopback() -> None:
    text = (
        "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
        "    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n"
        "  eth0: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n  eth1:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n"
    )
    assert interfaces(text) == (15, 27)


@pytest.mark.parametrize(
    ("cpus", "memory_bytes", "limited", "found"),
    [
        (0.5, 5_000_000, True, 0),
        (1.99, 5_000_000, True, 1),
        (0.5, 3_300_000_000, True, 1),
        (1.99, 3_300_000_000, False, 3),  # as docs/dashboard-both.png once showed
    ],
)
def test_a_picture_with_figures_beyond_the_declared_limits_is_refused(
    cpus: float, memory_bytes: int, limited: bool, found: int
) -> None:
    name = "nginx-lb"
    limits = PLAN.replica(name).limits
    assert limits is not None
    held = (limits.cpus, limits.memory_bytes) if limited else (None, None)
    readings = [
        reading(at_s, usage={name: Usage(at_s, cpu_us, 0, memory_bytes, 0, 0, *held)})
        for at_s, cpu_us in ((1.0, 0), (2.0, round(cpus * 1e6)))
    ]
    document = asdict(sample("net", PLAN, 0.0, readings))
    assert len(beyond_limits(document, PLAN)) == found
