"""What the kernel says of a process is read as it is meant, on cgroup v1, v2 and hybrid."""

from __future__ import annotations

import os

import pytest

from bench.engine import observed
from twinstack.errors import CannotTell

MOUNTS = """\
30 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 20 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 20 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
33 20 0:29 / / rw,relatime - overlay overlay rw,lowerdir=/x
34 33 8:1 /pg /var/lib/postgresql/data rw,relatime - ext4 /dev/sda1 rw
"""


def test_mount_names_its_file_system() -> None:
    assert observed.parse_mount(MOUNTS, "/") == "overlay"
    assert observed.parse_mount(MOUNTS, "/var/lib/postgresql/data") == "ext4"
    assert observed.parse_mount(MOUNTS, "/elsewhere") == "part of its root"


def test_confinement_of_this_very_process_can_be_told() -> None:
    found = observed.confinement(os.getpid())
    assert found.seccomp in {"none", "filter"}
    assert found.root


def test_a_process_that_is_gone_cannot_be_told() -> None:
    with pytest.raises(CannotTell, match="cannot be looked at"):
        observed.confinement(2**22 - 1)


def test_open_files_limit_is_read() -> None:
    head = "Limit                     Soft Limit           Hard Limit           Units     \n"
    line = "Max open files            {}                20000                files     \n"
    assert observed.parse_open_files(head + line.format(20000)) == "20000"
    assert observed.parse_open_files(head + line.format(1024)) == "1024 (hard 20000)"
    assert observed.confinement(os.getpid()).open_files != "?"
