"""Each way of being held to less than is declared is noticed, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from front import tables
from tests.support.confined import LIMITS, PROCESS, REPLICA
from tests.support.core_cases import planned
from twinstack.confinement.requirements import (
    CAPABILITY_SETS,
    HEADER,
    ConfinedProcess,
    ConfinedReplica,
    ListeningSocket,
    SecretFile,
    process_weaknesses,
    rows,
    sentences,
    shared,
    weaknesses,
)
from twinstack.model.plan import Replica

FACTS = ConfinedReplica(
    name=REPLICA.name,
    processes=(PROCESS, replace(PROCESS, pid=8)),
    listeners=(ListeningSocket("tcp", "0.0.0.0", REPLICA.port),),
    secrets=tuple(SecretFile(name, REPLICA.user, 0o400) for name in REPLICA.secrets),
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
def test_stricter_than_declared_is_no_weakness(better: ConfinedProcess):
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
    weak = weaknesses(REPLICA, facts)
    assert [(each.pid, each.what) for each in weak] == [(8, what)]


def test_every_fact_of_a_process_is_judged():
    judged = {key for _, values in WEAK.values() for key in values}
    assert judged == set(ConfinedProcess.__dataclass_fields__) - {"pid", "start_ticks", "command"}


def listening(*more: ListeningSocket) -> Callable[[ConfinedReplica], ConfinedReplica]:
    return lambda facts: replace(facts, listeners=(*facts.listeners, *more))


def secret(*more: SecretFile) -> Callable[[ConfinedReplica], ConfinedReplica]:
    return lambda facts: replace(facts, secrets=more)


SHARED: dict[str, tuple[str, Callable[[ConfinedReplica], ConfinedReplica]]] = {
    "another port": ("listening", listening(ListeningSocket("tcp", "0.0.0.0", 22))),
    "another port on loopback": ("listening", listening(ListeningSocket("tcp", "127.0.0.1", 9))),
    "another port by IPv6": ("listening", listening(ListeningSocket("tcp", "[::]", 22))),
    "the port, but by UDP": (
        "listening",
        listening(ListeningSocket("udp", "0.0.0.0", REPLICA.port)),
    ),
    "another's secret": ("secrets in sight", secret(SecretFile("redis_password", USER, 0o400))),
    "a secret for all": (
        "secret postgres.roles",
        secret(SecretFile("postgres.roles", USER, 0o404)),
    ),
    "a secret for its group": (
        "secret postgres.roles",
        secret(SecretFile("postgres.roles", USER, 0o440)),
    ),
    "another's own secret": (
        "secret postgres.roles",
        secret(SecretFile("postgres.roles", 0, 0o400)),
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_each_weakness_that_processes_share_is_noticed(name: str):
    what, change = SHARED[name]
    weak = weaknesses(REPLICA, change(FACTS))
    assert [(each.pid, each.what) for each in weak] == [(None, what)]


def test_less_than_the_declared_limits_is_no_weakness():
    tight = replace(PROCESS, **limits(cpus=0.1, memory_bytes=1 << 20, pids=5))
    assert process_weaknesses(REPLICA, tight) == ()


def test_an_engines_resolver_is_no_strangers_socket():
    resolver = (
        ListeningSocket("tcp", "127.0.0.11", 40123),
        ListeningSocket("udp", "127.0.0.11", 40124),
    )
    assert weaknesses(REPLICA, listening(*resolver)(FACTS)) == ()


def test_a_plan_without_limits_asks_for_none():
    free: Replica = replace(REPLICA, limits=None)
    unbound = replace(PROCESS, **limits(cpus=None, memory_bytes=None, pids=None))
    assert process_weaknesses(free, unbound) == ()


def test_a_weakness_of_many_is_said_once():
    bad = replace(FACTS, processes=tuple(replace(PROCESS, pid=n, seccomp="none") for n in (7, 8)))
    (sentence,) = sentences(weaknesses(REPLICA, bad))
    assert (
        sentence == "seccomp: none; declared: filter\n    postgres-db (pid 7), postgres-db (pid 8)"
    )


def test_worlds_stand_side_by_side_and_a_process_that_differs_has_its_row():
    weak = replace(FACTS, processes=(PROCESS, replace(PROCESS, pid=9, no_new_privs=False)))
    table = rows({"net": [FACTS], "docker": [weak]})
    assert [(row[1], row[4]) for row in table] == [
        ("net", "yes"),
        ("docker", "yes"),
        ("docker", "no"),
    ]
    assert {len(row) for row in table} == {len(HEADER)}
    assert table[0] == (
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
    everyone = [replace(FACTS, name=replica.name) for replica in planned().replicas]
    text = tables.columns(HEADER, rows({"net": everyone, "docker": everyone}))
    assert max(map(len, text.splitlines())) <= 80


def test_what_has_no_column_is_said_of_all_together():
    odd = replace(PROCESS, pid=9, namespaces=frozenset({"net", "pid"}), shown=("/proc/keys",))
    summary = shared([FACTS, replace(FACTS, processes=(odd,))])
    assert summary["processes"] == "3"
    assert summary["own namespaces"] == "net"
    assert summary["shown of /proc, /sys"] == "/proc/keys"
