"""What the kernel says of a process is read as it is meant, on cgroup v1, v2 and hybrid."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.engine import observed
from twinstack.errors import CannotTell
from twinstack.linux import procfs

MOUNTS = """\
30 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 20 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 20 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
33 20 0:29 / / rw,relatime - overlay overlay rw,lowerdir=/x
34 33 8:1 /pg /var/lib/postgresql/data rw,relatime - ext4 /dev/sda1 rw
"""


def hierarchy(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_hierarchies_of_a_hybrid_host_are_found_by_controller() -> None:
    found = procfs.parse_hierarchies(MOUNTS)
    assert found["cpu"] == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert found["memory"] == Path("/sys/fs/cgroup/memory")
    assert found[""] == Path("/sys/fs/cgroup/unified")


def test_cgroup_of_each_controller_is_read() -> None:
    found = procfs.parse_cgroup("4:cpu,cpuacct:/a\n3:memory:/b\n0::/c:d\n")
    assert found == {"cpu": "/a", "cpuacct": "/a", "memory": "/b", "": "/c:d"}


def test_mount_names_its_file_system() -> None:
    assert observed.parse_mount(MOUNTS, "/") == "overlay"
    assert observed.parse_mount(MOUNTS, "/var/lib/postgresql/data") == "ext4"
    assert observed.parse_mount(MOUNTS, "/elsewhere") == "part of its root"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50000 100000", (0.5, 100_000)), ("max 100000\n", (None, 100_000))],
)
def test_quota_is_read_in_cores(text: str, expected: tuple[float | None, int]) -> None:
    assert procfs.parse_quota(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max\n", None), ("64\n", 64), ("9223372036854771712\n", None), ("134217728\n", 1 << 27)],
)
def test_limit_that_is_none_is_none(text: str, expected: int | None) -> None:
    assert procfs.parse_limit(text) == expected


def test_tightest_limit_of_all_levels_holds(tmp_path: Path) -> None:
    hierarchy(
        tmp_path,
        {
            "a/memory.max": "max",
            "memory.max": "100",
            "a/cpu.max": "max 100000",
            "cpu.max": "20000 100000",
        },
    )
    groups, places = {"": "/a"}, {"": tmp_path}
    assert procfs.least(groups, places, "memory", "memory.limit_in_bytes", "memory.max") == 100
    assert procfs.cpu(groups, places) == (0.2, 100_000)


def test_limits_of_version_1_are_read_from_their_own_files(tmp_path: Path) -> None:
    hierarchy(
        tmp_path,
        {
            "cpu/a/cpu.cfs_quota_us": "50000",
            "cpu/a/cpu.cfs_period_us": "100000",
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/cpu.cfs_period_us": "100000",
            "memory/a/memory.limit_in_bytes": "1000",
        },
    )
    groups = {"cpu": "/a", "memory": "/a", "": "/"}
    places = {"cpu": tmp_path / "cpu", "memory": tmp_path / "memory", "": tmp_path / "unified"}
    assert procfs.cpu(groups, places) == (0.5, 100_000)
    assert procfs.least(groups, places, "memory", "memory.limit_in_bytes", "memory.max") == 1000


def test_a_process_without_limits_has_none() -> None:
    assert procfs.cpu({}, {}) == (None, None)


def test_confinement_of_this_very_process_can_be_told() -> None:
    found = observed.confinement(os.getpid())
    assert found.seccomp in {"none", "filter"}
    assert found.root


def test_a_process_that_is_gone_cannot_be_told() -> None:
    with pytest.raises(CannotTell, match="cannot be looked at"):
        observed.confinement(2**22 - 1)


def test_swap_limit_is_read_from_the_file_that_the_kernel_has(tmp_path: Path) -> None:
    hierarchy(
        tmp_path,
        {"v1/a/memory.memsw.limit_in_bytes": "500", "v2/a/memory.swap.max": "0", "none/a/x": ""},
    )
    words = ("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert procfs.least({"memory": "/a"}, {"memory": tmp_path / "v1"}, *words) == 500
    assert procfs.least({"": "/a"}, {"": tmp_path / "v2"}, *words) == 0
    assert procfs.least({"": "/a"}, {"": tmp_path / "none"}, *words) is None


def test_open_files_limit_is_read() -> None:
    head = "Limit                     Soft Limit           Hard Limit           Units     \n"
    line = "Max open files            {}                20000                files     \n"
    assert observed.parse_open_files(head + line.format(20000)) == "20000"
    assert observed.parse_open_files(head + line.format(1024)) == "1024 (hard 20000)"
    assert observed.confinement(os.getpid()).open_files != "?"
