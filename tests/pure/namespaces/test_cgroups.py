"""Which version serves a controller is read off the mounts, and limits are written in its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.core_cases import HYBRID, VERSION_1, planned, version_2
from twinstack.errors import Missing, StepFailed
from twinstack.linux.cgroup import Layout
from twinstack.model.topology import Limits
from twinstack.namespaces import cgroups
from twinstack.namespaces.cgroups import read_layout

HALF_A_CORE = Limits.model_validate({"cpus": 0.5, "memory": "64M", "pids": 32})


def made(layout: Layout, limits: Limits | None) -> dict[str, str]:
    return dict(cgroups.step(planned(), "nginx-lb", limits, layout).limit_values)


def test_a_mixed_host_is_read_controller_by_controller(tmp_path: Path):
    text = "".join(line for line in HYBRID.splitlines(True) if "rw,pids" not in line)
    text = text.replace("/nowhere/unified", str(tmp_path))
    (tmp_path / "cgroup.controllers").write_text("pids hugetlb\n")
    layout = read_layout(text)
    assert dict(layout.version) == {"cpu": 1, "cpuacct": 1, "memory": 1, "pids": 2}
    assert layout.mounts["pids"] == tmp_path
    assert made(layout, HALF_A_CORE) == {
        "cpu.cfs_quota_us": "50000",
        "memory.limit_in_bytes": "67108864",
        "pids.max": "32",
    }


@pytest.mark.parametrize("lost", ["cpu", "memory", "pids"])
def test_an_unserved_controller_is_named(lost: str):
    text = "".join(line for line in HYBRID.splitlines(True) if f"rw,{lost}\n" not in line)
    with pytest.raises(Missing, match=f"cgroups: cannot limit: no controller {lost} is mounted; "):
        read_layout(text)


def test_a_host_without_cgroups_lacks_all_controllers():
    with pytest.raises(Missing, match="cpu, cpuacct, memory, pids"):
        read_layout("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")


def test_limits_have_the_file_names_of_version_1():
    assert made(read_layout(VERSION_1), HALF_A_CORE) == {
        "cpu.cfs_quota_us": "50000",
        "memory.limit_in_bytes": "67108864",
        "pids.max": "32",
    }


def test_limits_have_the_file_names_of_version_2(tmp_path: Path):
    assert made(read_layout(version_2(tmp_path)), HALF_A_CORE) == {
        "cpu.max": "50000 100000",
        "memory.max": "67108864",
        "pids.max": "32",
    }


def test_lifted_limits_are_max(tmp_path: Path):
    assert set(made(read_layout(VERSION_1), None).values()) == {"max"}
    unlimited = made(read_layout(version_2(tmp_path)), None)
    assert unlimited == {"cpu.max": "max 100000", "memory.max": "max", "pids.max": "max"}


def test_each_limit_is_written_where_its_controller_is_and_every_directory_is_made():
    step = cgroups.step(planned(), "nginx-lb", HALF_A_CORE, read_layout(HYBRID))
    base = "/sys/fs/cgroup/{}/twinstack/main/nginx-lb"
    assert dict(step.files) == {
        f"{base.format('cpu')}/cpu.cfs_quota_us": "50000",
        f"{base.format('cpuacct')}/cgroup.procs": "",
        f"{base.format('memory')}/memory.limit_in_bytes": "67108864",
        f"{base.format('pids')}/pids.max": "32",
    }
    assert step.path == "twinstack/main/nginx-lb"


def test_instances_never_share_a_cgroup():
    assert cgroups.path_of("a", "nginx-lb") != cgroups.path_of("b", "nginx-lb")
    assert cgroups.path_of("a", "nginx-lb").startswith("twinstack/a/")


@pytest.mark.parametrize(
    ("quota", "memory", "limits"),
    [("50000", "67108864", HALF_A_CORE), ("-1", "9223372036854771712", None)],
)
def test_version_1_reads_back_what_was_written(
    tmp_path: Path, quota: str, memory: str, limits: Limits | None
):
    layout = read_layout(VERSION_1.replace("/sys/fs/cgroup", str(tmp_path)))
    step = cgroups.step(planned(), "nginx-lb", limits, layout)
    assert cgroups.read(step) is None
    for directory in layout.directories(step.path):
        directory.mkdir(parents=True)
    values = {
        "cpu.cfs_quota_us": quota,
        "memory.limit_in_bytes": memory,
        "pids.max": "32" if limits else "max",
    }
    for file, _ in step.files:
        Path(file).write_text(values[Path(file).name] + "\n")
    assert cgroups.read(step) == dict(step.limit_values)


def test_version_1_takes_minus_one_for_no_limit(tmp_path: Path):
    layout = read_layout(VERSION_1.replace("/sys/fs/cgroup", str(tmp_path)))
    step = cgroups.step(planned(), "nginx-lb", None, layout)
    cgroups.apply(step, layout)
    written = {Path(file).name: Path(file).read_text() for file, _ in step.files}
    assert written == {"cpu.cfs_quota_us": "-1", "memory.limit_in_bytes": "-1", "pids.max": "max"}


def test_version_2_hands_each_controller_down_to_the_replicas_parent(tmp_path: Path):
    layout = read_layout(version_2(tmp_path))
    step = cgroups.step(planned(), "nginx-lb", HALF_A_CORE, layout)
    for level in ("", "twinstack", "twinstack/main"):
        (tmp_path / level).mkdir(exist_ok=True)
        (tmp_path / level / "cgroup.subtree_control").write_text("cpu memory")
    cgroups.apply(step, layout)
    for level in ("", "twinstack", "twinstack/main"):
        assert (tmp_path / level / "cgroup.subtree_control").read_text() == "+pids"
    assert (tmp_path / step.path / "cpu.max").read_text() == "50000 100000"


def test_a_cgroup_that_cannot_be_created_is_an_error_that_names_it(tmp_path: Path):
    layout = read_layout(version_2(tmp_path))  # no cgroup.subtree_control: not a cgroup at all
    step = cgroups.step(planned(), "nginx-lb", HALF_A_CORE, layout)
    with pytest.raises(StepFailed, match="cgroup nginx-lb: cannot be created"):
        cgroups.apply(step, layout)


def test_cpu_time_is_read_from_either_version(tmp_path: Path):
    first = read_layout(VERSION_1.replace("/sys/fs/cgroup", str(tmp_path / "one")))
    (first.mounts["cpuacct"] / "twinstack/main/a").mkdir(parents=True)
    (first.mounts["cpuacct"] / "twinstack/main/a/cpuacct.usage").write_text("5000999\n")
    second = read_layout(version_2(tmp_path / "two"))
    (second.mounts["cpuacct"] / "twinstack/main/a").mkdir(parents=True)
    (second.mounts["cpuacct"] / "twinstack/main/a/cpu.stat").write_text("usage_usec 5000\nx 1\n")
    assert cgroups.cpu_us("main", "a", first) == cgroups.cpu_us("main", "a", second) == 5000
    with pytest.raises(StepFailed, match="cgroup b: cannot be read"):
        cgroups.cpu_us("main", "b", second)


def test_cgroups_and_their_processes_are_listed_and_absent_ones_are_none(tmp_path: Path):
    layout = read_layout(VERSION_1.replace("/sys/fs/cgroup", str(tmp_path)))
    assert cgroups.existing("main", layout) == ()
    assert cgroups.processes("main", "a", layout) == ()
    for name, pids in (("a", "3\n9\n"), ("b", "")):
        for directory in layout.directories(f"twinstack/main/{name}"):
            directory.mkdir(parents=True)
            (directory / "cgroup.procs").write_text(pids)
    assert cgroups.existing("main", layout) == ("a", "b")
    assert cgroups.processes("main", "a", layout) == (3, 9)
    assert cgroups.existing("other", layout) == ()
