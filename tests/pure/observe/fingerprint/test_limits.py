"""Limits, mounts and parents of cgroups are read so that only what holds a process differs."""

from __future__ import annotations

import os

import pytest

from twinstack.linux.procfs import parse_mountinfo
from twinstack.observe.fingerprint import limits

MOUNTS = parse_mountinfo("""\
33 20 0:29 / / ro,relatime - overlay overlay rw,lowerdir=/x:/y:/z,upperdir=/u,volatile
34 33 8:1 /pg /var/lib/postgresql/data rw,relatime - ext4 /dev/sda1 rw,discard
35 33 0:40 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k
36 35 0:41 / /dev/shm rw,nosuid - tmpfs shm rw,size=64m
37 35 0:42 / /dev/shm rw,nosuid - tmpfs shm rw,size=1m
""")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "overlay ro relatime volatile layers=3"),
        ("/tmp", "overlay ro relatime volatile layers=3"),
        ("/var/lib/postgresql/data", "ext4 rw relatime discard"),
        ("/dev/shm", "tmpfs rw nosuid size=1m"),  # the later mount hides the earlier
        ("/devices", "overlay ro relatime volatile layers=3"),
    ],
)
def test_a_path_is_served_by_the_last_mount_that_covers_it(path: str, expected: str) -> None:
    assert limits.mounted_at(MOUNTS, path) == expected


def test_a_hard_limit_is_named_where_it_differs() -> None:
    with open("/proc/self/limits") as file:
        lines = file.read().splitlines()
    lines = [f"{line[:26]}{7:<21}{8:<21}" if "open files" in line else line for line in lines]
    found = limits.rlimits("\n".join(lines))
    assert found["rlimit.nofile"] == "7 (hard 8)"
    assert len(found) == 16


@pytest.mark.parametrize(
    ("own", "parents", "expected"),
    [
        ("100000", [], "100000"),
        ("100000", ["-1", "-1"], "100000"),
        ("100000", ["50000", "-1"], "100000, parents 50000"),
        ("-1", ["50000", "20000"], "-1, parents 50000 20000"),
        ("", [], "none"),
    ],
)
def test_a_parent_counts_where_it_restricts(own: str, parents: list[str], expected: str) -> None:
    assert limits.with_parents(own, parents, {"-1"}) == expected


def test_every_process_of_a_replica_is_read() -> None:
    alone = limits.limit_values(os.getpid(), ())
    assert alone == limits.limit_values(os.getpid(), (os.getpid(), 2**22 - 1))
    assert {"cgroup.depth", "sched.policy", "lsm", "thp", "timer_slack_ns"} <= alone.keys()
    with pytest.raises(OSError, match="No such"):
        limits.limit_values(2**22 - 1, ())
