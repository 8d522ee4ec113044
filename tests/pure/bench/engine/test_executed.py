"""What a replica executes is seen, not remembered: command, processes, configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.engine import executed
from twinstack.errors import CannotTell

POSTGRES = {
    10: (1, "postgres -D /data"),
    11: (10, "postgres: checkpointer "),
    12: (10, "postgres: autovacuum launcher"),
    13: (10, "postgres: shop shop 10.0.0.30(50468) idle"),
    14: (10, "postgres: autovacuum worker shop"),
    15: (10, "postgres: shop shop [local] idle"),
}


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
    found = executed.executed(10, (10, 11, 12, 20, 99), tmp_path)
    assert found.command == "nginx -c /etc/nginx/nginx.conf"
    assert found.processes == 3


def test_clients_of_postgresql_are_no_setting() -> None:
    assert executed.count(10, POSTGRES) == 3


def test_configuration_is_read_in_the_roots_own_tree(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, "nginx", {"etc/nginx/nginx.conf": "a", "etc/redis/redis.conf": ""})
    process(tmp_path, 20, 1, "nginx", {"etc/nginx/nginx.conf": "b"})
    one, two = (executed.executed(pid, (), tmp_path).configs for pid in (10, 20))
    assert set(one) == set(two) == {"/etc/nginx/nginx.conf"}  # an empty file is a mount's place
    assert one != two


def test_this_very_process_can_be_told_and_a_gone_one_cannot() -> None:
    assert "pytest" in executed.executed(os.getpid(), ()).command
    with pytest.raises(CannotTell, match="cannot be looked at"):
        executed.executed(2**22 - 1, ())
