"""What /proc shows of a process is read as it is meant; one that is starting is read again."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.confined import PROCESS, REPLICA
from tests.support.core_cases import planned
from twinstack.confinement import observe
from twinstack.confinement.requirements import ConfinedProcess, process_weaknesses
from twinstack.errors import CannotTell


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000", "0.0.0.0"),
        ("0B00007F", "127.0.0.11"),
        ("00000000000000000000000000000000", "[::]"),
        ("00000000000000000000000001000000", "[::1]"),
        ("0000000000000000FFFF00000100007F", "[::ffff:7f00:1]"),
    ],
)
def test_an_address_is_read_as_the_kernel_writes_it(text: str, address: str):
    assert observe.address_of(text) == address


def test_a_secrets_text_is_found_in_environment_and_command(tmp_path: Path):
    (tmp_path / "environ").write_bytes(b"A=1\0URL=redis://x:hunter2hunter2@y\0")
    leaks = observe._leaks(tmp_path, "run --password hunter2hunter2", ("hunter2hunter2",))
    assert list(leaks) == ["URL", "its command"]


@pytest.mark.parametrize(
    ("mode", "owner", "may"),
    [
        (0o755, 0, False),
        (0o755, 30060, True),
        (0o1777, 0, True),
        (0o575, 0, False),
        (0o555, 30060, False),
    ],
)
def test_who_may_write_follows_from_owner_and_mode(mode: int, owner: int, may: bool):
    there = os.stat_result((stat.S_IFDIR | mode, 1, 1, 1, owner, 0, 0, 0, 0, 0))
    assert observe._may_write(there, 30060) == may


def test_a_group_of_the_users_own_may_write_where_the_group_may():
    there = os.stat_result((stat.S_IFDIR | 0o770, 1, 1, 1, 0, 30060, 0, 0, 0, 0))
    assert observe._may_write(there, 30060)


def looks(*rounds: dict[int, tuple[int, ConfinedProcess]]) -> Callable[..., Any]:
    """Give what stands for reading /proc: one answer a look, the last for good."""
    answers = [
        {pid: replace(process, start_ticks=ticks) for pid, (ticks, process) in seen.items()}
        for seen in rounds
    ]

    def look(pids: Any, _secrets: Any) -> dict[int, Any]:
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        return {pid: now[pid] for pid in pids if pid in now}

    return look


STARTING = replace(PROCESS, uids=(0, 0, 0, 0), seccomp="none")


@pytest.mark.parametrize(
    ("rounds", "seen"),
    [
        ([{7: (1, STARTING)}, {7: (1, PROCESS)}], {7: PROCESS}),  # it had only started
        ([{7: (1, STARTING)}, {7: (1, STARTING)}], {7: STARTING}),  # it is so
        ([{7: (1, STARTING), 8: (1, PROCESS)}, {}], {8: PROCESS}),  # it is gone
        ([{7: (1, STARTING)}, {7: (2, STARTING)}], {}),  # another one has its pid
        ([{7: (1, PROCESS)}], {7: PROCESS}),
    ],
    ids=["starting", "weak", "ended", "pid taken again", "held"],
)
def test_what_looks_weak_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, rounds: list[Any], seen: dict[int, ConfinedProcess]
):
    monkeypatch.setattr(observe, "_read_all", looks(*rounds))
    monkeypatch.setattr(observe, "_AGAIN_S", 0.01)
    monkeypatch.setattr(observe, "_STARTING_S", 0.1)
    owners = {pid: REPLICA for readings in rounds for pid in readings}
    settled = observe._settled(owners, ())
    assert {pid: replace(process, start_ticks=0) for pid, process in settled.items()} == seen


def test_a_replica_without_a_process_leaves_its_world_unjudged():
    class Silent:
        name = "net"
        plan = planned()

        def processes(self) -> tuple[()]:
            return ()

    with pytest.raises(CannotTell, match="no process of nginx-lb stays"):
        observe.look(Silent())  # type: ignore[arg-type]


def test_a_masked_place_shows_nothing_when_absent_empty_or_null(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "entry").touch()
    (tmp_path / "file").write_text("")
    shows = {name: observe._shows(tmp_path / name) for name in ("absent", "empty", "full", "file")}
    assert shows == {"absent": False, "empty": False, "full": True, "file": True}
    assert not observe._shows(Path("/dev/null"))


def test_this_very_process_is_looked_at_and_is_not_confined():
    process = observe.read_process(os.getpid())
    assert process.pid == os.getpid()
    assert process.namespaces == frozenset()  # as its reader is
    assert "python" in process.command
    weaker = {what for what, _, _ in process_weaknesses(REPLICA, process)}
    assert {"user", "namespaces of its own", "writable mounts"} <= weaker
