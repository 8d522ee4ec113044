"""What cgroups hold a process to is read as the kernel means it, on version 1, 2 and both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.core_cases import HYBRID, VERSION_1, version_2
from twinstack.linux import cgroup
from twinstack.linux.cgroup import ControlGroup, Layout, read_layout


def version_1(root: Path) -> Layout:
    return read_layout(VERSION_1.replace("/sys/fs/cgroup", str(root)))


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_a_cgroup2_mount_that_serves_nothing_is_not_version_2():
    layout = read_layout(HYBRID)
    assert dict(layout.version) == {"cpu": 1, "cpuacct": 1, "memory": 1, "pids": 1}
    assert layout.mounts["memory"] == Path("/sys/fs/cgroup/memory")
    assert len(layout.directories("a")) == 4


def test_controllers_that_share_a_mount_share_a_directory():
    layout = read_layout(VERSION_1)
    assert layout.mounts["cpu"] == layout.mounts["cpuacct"] == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert layout.directories("a/b") == (
        Path("/sys/fs/cgroup/cpu,cpuacct/a/b"),
        Path("/sys/fs/cgroup/memory/a/b"),
        Path("/sys/fs/cgroup/pids/a/b"),
    )


def test_version_2_serves_every_controller_in_one_directory(tmp_path: Path):
    layout = read_layout(version_2(tmp_path / "unified"))
    assert set(layout.version.values()) == {2}
    assert layout.directories("a") == (tmp_path / "unified" / "a",)


def test_version_1_wins_where_both_are_mounted(tmp_path: Path):
    text = HYBRID.replace("/nowhere/unified", str(tmp_path))
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    assert set(read_layout(text).version.values()) == {1}


def test_this_machine_is_understood():
    layout = read_layout()
    assert set(layout.version) == set(cgroup.CONTROLLERS)
    assert all(mount.is_dir() for mount in layout.mounts.values())


def test_a_host_without_cgroups_serves_no_controller():
    assert not read_layout("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n").mounts


def test_cpu_time_is_accounted_by_the_cpu_controller_of_version_2(tmp_path: Path):
    text = version_2(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    assert set(read_layout(text).mounts) == {"cpu", "cpuacct", "memory"}


def test_a_processs_path_is_read_for_each_controller(tmp_path: Path):
    write(tmp_path, {"7/cgroup": "4:cpu,cpuacct:/a\n3:memory:/b\n0::/c:d\n"})
    expected = {"cpu": "/a", "cpuacct": "/a", "memory": "/b", "": "/c:d"}
    assert cgroup.read_paths(7, tmp_path) == expected
    with pytest.raises(FileNotFoundError):
        cgroup.read_paths(8, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max\n", None), ("64\n", 64), ("9223372036854771712\n", None), ("134217728\n", 1 << 27)],
)
def test_a_limit_that_is_none_is_none(text: str, expected: int | None):
    assert cgroup.parse_limit(text) == expected


def test_the_tightest_limit_of_all_levels_holds(tmp_path: Path):
    layout = read_layout(version_2(tmp_path))
    write(tmp_path, {"memory.max": "100", "a/memory.max": "max", "a/memory.swap.max": "0"})
    write(tmp_path, {"cpu.max": "20000 100000", "a/cpu.max": "max 100000", "a/pids.max": "7\n"})
    limits = ControlGroup.at("/a", layout).limits()
    assert (limits.cpus, limits.period_us, limits.memory_bytes) == (0.2, 100_000, 100)
    assert (limits.swap_bytes, limits.pids) == (0, 7)


def test_limits_of_version_1_are_read_from_its_own_files(tmp_path: Path):
    cpu = {"cpu,cpuacct/a/cpu.cfs_quota_us": "50000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}
    root = {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    memory = {"memory/a/memory.limit_in_bytes": "1000", "memory/a/memory.memsw.limit_in_bytes": "9"}
    write(tmp_path, {**cpu, **root, **memory})
    limits = ControlGroup.at("a", version_1(tmp_path)).limits()
    assert (limits.cpus, limits.period_us) == (0.5, 100_000)
    assert (limits.memory_bytes, limits.swap_bytes, limits.pids) == (1000, 9, None)


def test_a_cgroup_without_hierarchies_has_no_limits_and_no_processes():
    group = ControlGroup(Layout({}, {}))
    limits = group.limits()
    assert (limits.cpus, limits.memory_bytes, limits.swap_bytes, limits.pids) == (None,) * 4
    assert group.processes() == ()
    with pytest.raises(FileNotFoundError, match="no cgroup hierarchy has cpuacct"):
        group.cpu_us()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nr_periods 5\nthrottled_usec 12\n", 12),
        ("nr_periods 5\nthrottled_time 12000\n", 12),
        ("usage_usec 5\n", 0),
    ],
)
def test_throttled_time_is_in_microseconds_on_either_version(text: str, expected: int):
    assert cgroup.throttled_us(cgroup.parse_flat_keyed(text)) == expected


def test_this_very_process_is_in_a_cgroup():
    group = ControlGroup.of(os.getpid())
    assert os.getpid() in group.processes("pids")
    assert group.cpu_us() > 0
    assert group.throttled_us() >= 0
    with pytest.raises(OSError):  # noqa: PT011 - gone: either of two kinds
        ControlGroup.of(2**22 + 1)
