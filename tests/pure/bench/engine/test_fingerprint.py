"""What confines a replica and what it executes is read from the kernel, not remembered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.engine import fingerprint
from twinstack.errors import CannotTell

POSTGRES = {
    10: (1, "postgres -D /data"),
    11: (10, "postgres: checkpointer "),
    12: (10, "postgres: autovacuum launcher"),
    13: (10, "postgres: shop shop 10.0.0.30(50468) idle"),
    14: (10, "postgres: autovacuum worker shop"),
    15: (10, "postgres: shop shop [local] idle"),
}
MOUNTS = """\
30 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 20 0:29 / / rw,relatime - overlay overlay rw,lowerdir=/x
34 33 8:1 /pg /var/lib/postgresql/data rw,relatime - ext4 /dev/sda1 rw
"""


def process(proc: Path, pid: int, parent: int, command: str, files: dict[str, str]) -> None:
    (proc / str(pid) / "root").mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    (proc / str(pid) / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
    for name, text in files.items():
        path = proc / str(pid) / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_workers_are_counted_and_probes_are_not(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, "nginx -c /etc/nginx/nginx.conf", {})
    process(tmp_path, 11, 10, "nginx: worker process", {})
    process(tmp_path, 12, 11, "a grandchild", {})
    process(tmp_path, 20, 2, "a probe of the engine's", {})
    values = fingerprint.executed(10, (10, 11, 12, 20, 99), tmp_path)
    assert values["command"] == "nginx -c /etc/nginx/nginx.conf"
    assert values["processes"] == "3"


def test_clients_of_postgresql_are_no_setting() -> None:
    assert fingerprint.count(10, POSTGRES) == 3


def test_configuration_is_read_in_the_processes_own_root(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, "nginx", {"etc/nginx/nginx.conf": "a", "etc/redis/redis.conf": ""})
    process(tmp_path, 20, 1, "nginx", {"etc/nginx/nginx.conf": "b"})
    first, second = (fingerprint.executed(pid, (), tmp_path) for pid in (10, 20))
    assert first["/etc/redis/redis.conf"] == "none"  # an empty file is a mount point
    assert first["/etc/nginx/nginx.conf"] != second["/etc/nginx/nginx.conf"]


def test_a_mount_names_its_file_system() -> None:
    assert fingerprint.parse_mount(MOUNTS, "/") == "overlay"
    assert fingerprint.parse_mount(MOUNTS, "/var/lib/postgresql/data") == "ext4"
    assert fingerprint.parse_mount(MOUNTS, "/elsewhere") == "part of its root"


def test_the_limit_of_open_files_is_read() -> None:
    head = "Limit                     Soft Limit           Hard Limit           Units     \n"
    line = "Max open files            {}                20000                files     \n"
    assert fingerprint.parse_open_files(head + line.format(20000)) == "20000"
    assert fingerprint.parse_open_files(head + line.format(1024)) == "1024 (hard 20000)"


def test_this_process_has_a_fingerprint_and_a_gone_one_has_none() -> None:
    values = fingerprint.fingerprint(os.getpid(), ())
    assert "python" in values["command"]
    assert values["seccomp"] in {"none", "filter"}
    assert "?" not in values.values()
    with pytest.raises(CannotTell, match="cannot be looked at"):
        fingerprint.fingerprint(2**22 - 1, ())
