"""Each way of being held to less than is declared is noticed, and nothing else is."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from front import tables
from tests.support.core_cases import planned
from twinstack.confinement import observe
from twinstack.confinement.requirements import (
    CAPABILITY_SETS,
    HEADER,
    Listener,
    ProcessFacts,
    ReplicaFacts,
    SecretFacts,
    process_weaknesses,
    rows,
    sentences,
    shared,
    weaknesses,
)
from twinstack.errors import CannotTell
from twinstack.linux.cgroup import CgroupLimits
from twinstack.model.plan import Replica

REPLICA = planned().replica("postgres-db")
LIMITS = REPLICA.limits
assert LIMITS is not None
PROCESS = ProcessFacts(
    pid=7,
    command="postgres",
    uids=(REPLICA.user,) * 4,
    gids=(REPLICA.user,) * 4,
    groups=(),
    capabilities=dict.fromkeys(CAPABILITY_SETS, 0),
    no_new_privs=True,
    seccomp="filter",
    root_read_only=True,
    writable=("/dev/shm", "/tmp", str(REPLICA.launch.data)),
    shown=(),
    open=(),
    namespaces=frozenset({"ipc", "mnt", "net", "uts"}),
    limits=CgroupLimits(
        LIMITS.cpus, 100_000, LIMITS.memory_bytes, LIMITS.memory_bytes, LIMITS.pids
    ),
)
FACTS = ReplicaFacts(
    name=REPLICA.name,
    processes=(PROCESS, replace(PROCESS, pid=8)),
    listeners=(Listener("tcp", "0.0.0.0", REPLICA.port),),
    secrets=tuple(SecretFacts(name, REPLICA.user, 0o400) for name in REPLICA.secrets),
)


def test_what_is_as_declared_is_no_weakness():
    assert weaknesses(REPLICA, FACTS) == ()


@pytest.mark.parametrize(
    "better",
    [
        replace(PROCESS, namespaces=PROCESS.namespaces | {"pid", "cgroup"}),
        replace(PROCESS, writable=("/tmp",)),
        replace(PROCESS, groups=(REPLICA.user,)),
    ],
)
def test_stricter_than_declared_is_no_weakness(better: ProcessFacts):
    assert process_weaknesses(REPLICA, better) == ()


def limits(**values: Any) -> dict[str, Any]:
    return {"limits": replace(PROCESS.limits, **values)}


USER = REPLICA.user
WEAK: dict[str, tuple[str, dict[str, Any]]] = {
    "root": ("user", {"uids": (0, 0, 0, 0)}),
    "root to go back to": ("user", {"uids": (USER, USER, 0, USER)}),
    "another user": ("user", {"uids": (USER + 1,) * 4}),
    "root's group": ("group", {"gids": (0, 0, 0, 0)}),
    "one group of four": ("group", {"gids": (USER, USER, USER, 0)}),
    "docker's group": ("supplementary groups", {"groups": (999,)}),
    **{
        f"{name} kept": ("capabilities", {"capabilities": {**PROCESS.capabilities, name: 1 << 10}})
        for name in CAPABILITY_SETS
    },
    "a set unknown": ("capabilities", {"capabilities": {"CapEff": 0}}),
    "new privileges": ("no_new_privs", {"no_new_privs": False}),
    "no seccomp": ("seccomp", {"seccomp": "none"}),
    "a writable root": ("root file system", {"root_read_only": False}),
    "a writable mount": ("writable mounts", {"writable": ("/tmp", "/etc")}),
    "memory of the kernel": ("masked files", {"shown": ("/proc/kcore",)}),
    "switches": ("kernel's switches", {"open": ("/proc/sys",)}),
    **{
        f"the host's {name}": ("namespaces of its own", {"namespaces": PROCESS.namespaces - {name}})
        for name in ("ipc", "mnt", "net", "uts")
    },
    "the engine's socket": ("sockets of others", {"sockets": ("/run/docker.sock",)}),
    "a secret in the environment": ("secrets", {"leaked": ("PGPASSWORD",)}),
    "no CPU limit": ("CPU limit in cores", limits(cpus=None)),
    "more CPU": ("CPU limit in cores", limits(cpus=LIMITS.cpus + 0.1)),
    "no memory limit": ("memory limit in bytes", limits(memory_bytes=None)),
    "more memory": ("memory limit in bytes", limits(memory_bytes=LIMITS.memory_bytes + 4096)),
    "no pids limit": ("pids limit", limits(pids=None)),
    "more pids": ("pids limit", limits(pids=LIMITS.pids + 1)),
}


@pytest.mark.parametrize("name", WEAK)
def test_each_weakness_of_one_process_among_others_is_noticed(name: str):
    what, values = WEAK[name]
    facts = replace(FACTS, processes=(PROCESS, replace(PROCESS, pid=8, **values)))
    found = weaknesses(REPLICA, facts)
    assert [(one.pid, one.what) for one in found] == [(8, what)]


def test_every_fact_of_a_process_is_judged():
    judged = {key for _, values in WEAK.values() for key in values}
    assert judged == set(ProcessFacts.__dataclass_fields__) - {"pid", "command"}


def listening(*more: Listener) -> Callable[[ReplicaFacts], ReplicaFacts]:
    return lambda facts: replace(facts, listeners=(*facts.listeners, *more))


def secret(*more: SecretFacts) -> Callable[[ReplicaFacts], ReplicaFacts]:
    return lambda facts: replace(facts, secrets=more)


SHARED: dict[str, tuple[str, Callable[[ReplicaFacts], ReplicaFacts]]] = {
    "another port": ("listening", listening(Listener("tcp", "0.0.0.0", 22))),
    "another port on loopback": ("listening", listening(Listener("tcp", "127.0.0.1", 9))),
    "another port by IPv6": ("listening", listening(Listener("tcp", "[::]", 22))),
    "the port, but by UDP": ("listening", listening(Listener("udp", "0.0.0.0", REPLICA.port))),
    "another's secret": ("secrets in sight", secret(SecretFacts("redis_password", USER, 0o400))),
    "a secret for all": (
        "secret postgres_password",
        secret(SecretFacts("postgres_password", USER, 0o404)),
    ),
    "a secret for its group": (
        "secret postgres_password",
        secret(SecretFacts("postgres_password", USER, 0o440)),
    ),
    "another's own secret": (
        "secret postgres_password",
        secret(SecretFacts("postgres_password", 0, 0o400)),
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_each_weakness_that_processes_share_is_noticed(name: str):
    what, change = SHARED[name]
    found = weaknesses(REPLICA, change(FACTS))
    assert [(one.pid, one.what) for one in found] == [(None, what)]


def test_less_than_the_declared_limits_is_no_weakness():
    tight = replace(PROCESS, **limits(cpus=0.1, memory_bytes=1 << 20, pids=5))
    assert process_weaknesses(REPLICA, tight) == ()


def test_an_engines_resolver_is_no_strangers_socket():
    resolver = (Listener("tcp", "127.0.0.11", 40123), Listener("udp", "127.0.0.11", 40124))
    assert weaknesses(REPLICA, listening(*resolver)(FACTS)) == ()


def test_a_plan_without_limits_asks_for_none():
    free: Replica = replace(REPLICA, limits=None)
    unbound = replace(PROCESS, **limits(cpus=None, memory_bytes=None, pids=None))
    assert process_weaknesses(free, unbound) == ()


def test_a_weakness_of_many_is_said_once():
    bad = replace(FACTS, processes=tuple(replace(PROCESS, pid=n, seccomp="none") for n in (7, 8)))
    (said,) = sentences(weaknesses(REPLICA, bad))
    assert said == "seccomp: none; declared: filter\n    postgres-db (pid 7), postgres-db (pid 8)"


def test_worlds_stand_side_by_side_and_a_process_that_differs_has_its_row():
    weak = replace(FACTS, processes=(PROCESS, replace(PROCESS, pid=9, no_new_privs=False)))
    found = rows({"net": [FACTS], "docker": [weak]})
    assert [(row[1], row[4]) for row in found] == [
        ("net", "yes"),
        ("docker", "yes"),
        ("docker", "no"),
    ]
    assert {len(row) for row in found} == {len(HEADER)}
    assert found[0] == (
        "postgres-db",
        "net",
        str(USER),
        "none",
        "yes",
        "yes",
        "ro",
        "1/256/128",
        "5432",
    )


def test_the_table_fits_80_columns():
    everyone = [replace(FACTS, name=one.name) for one in planned().replicas]
    text = tables.columns(HEADER, rows({"net": everyone, "docker": everyone}))
    assert max(map(len, text.splitlines())) <= 80


def test_what_has_no_column_is_said_of_all_together():
    odd = replace(PROCESS, pid=9, namespaces=frozenset({"net", "pid"}), shown=("/proc/keys",))
    told = shared([FACTS, replace(FACTS, processes=(odd,))])
    assert told["processes"] == "3"
    assert told["own namespaces"] == "net"
    assert told["shown of /proc, /sys"] == "/proc/keys"


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
    found = observe._leaks(tmp_path, "run --password hunter2hunter2", ("hunter2hunter2",))
    assert list(found) == ["URL", "its command"]


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


def looks(*rounds: dict[int, tuple[int, ProcessFacts]]) -> Callable[..., Any]:
    """Give what stands for reading /proc: one answer a look, the last for good."""
    answers = [{pid: observe._Found(*one) for pid, one in found.items()} for found in rounds]

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
    monkeypatch: pytest.MonkeyPatch, rounds: list[Any], seen: dict[int, ProcessFacts]
):
    monkeypatch.setattr(observe, "_all", looks(*rounds))
    monkeypatch.setattr(observe, "_AGAIN_S", 0.01)
    monkeypatch.setattr(observe, "_STARTING_S", 0.1)
    owners = {pid: REPLICA for found in rounds for pid in found}
    assert observe._settled(owners, ()) == seen


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
    found = observe.process(os.getpid())
    assert found.pid == os.getpid()
    assert found.namespaces == frozenset()  # as its reader is
    assert "python" in found.command
    told = {what for what, _, _ in process_weaknesses(REPLICA, found)}
    assert {"user", "namespaces of its own", "writable mounts"} <= told
