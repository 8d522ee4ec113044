"""A world as a whole: its fingerprint, put together from every replica, its stores and its answer.

The stores are asked in their own root and network, as a user with no privilege there.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import CannotTell, Missing
from twinstack.linux import process
from twinstack.linux.ptrace import seccomp_filters
from twinstack.model.plan import HOST
from twinstack.observe import redis
from twinstack.observe.fingerprint.limits import Values
from twinstack.observe.fingerprint.network import network_values
from twinstack.observe.fingerprint.process import SECRET, process_values, renaming
from twinstack.software.secrets import operator_password
from twinstack.world import Endpoint, LocalWorld

#: The subject of what a world has as a whole.
WHOLE = ""
_MACHINE = {
    "clocksource": "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "thp": "/sys/kernel/mm/transparent_hugepage/enabled",
    "thp_defrag": "/sys/kernel/mm/transparent_hugepage/defrag",
    "governor": "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "smt": "/sys/devices/system/cpu/smt/active",
    "swappiness": "/proc/sys/vm/swappiness",
    "numa_balancing": "/proc/sys/kernel/numa_balancing",
    "autogroup": "/proc/sys/kernel/sched_autogroup_enabled",
    "randomize_va_space": "/proc/sys/kernel/randomize_va_space",
}
#: psql's own session sets some values; every other that is not the program's default counts.
_SQL = """
SELECT name, setting FROM pg_settings
 WHERE source NOT IN ('default', 'client', 'session') UNION ALL
SELECT 'data_checksums', current_setting('data_checksums') UNION ALL
SELECT 'rows.products', count(*)::text FROM products UNION ALL
SELECT 'rows.orders', count(*)::text FROM orders UNION ALL
SELECT 'rows.order_items', count(*)::text FROM order_items"""
#: As the store's own user, who needs no password for this role.
_PSQL = f'exec /usr/lib/postgresql/*/bin/psql -XAtq -F = -h /tmp -U monitor -d shop -c "{_SQL}"'
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a world runs as."""

    world: str
    values: Mapping[str, Mapping[str, str]]  # key → replica, or WHOLE → value


def read(world: LocalWorld, ask: Callable[[], bytes]) -> Fingerprint:
    """Read a running world, and what it answers to a request.

    Raises: Missing when it is not up; CannotTell where something cannot be read; StepFailed; as
    `ask`.
    """
    states = world.status()
    down = [state.name for state in states if state.state != "healthy"]
    if down or not states:
        cause = f"not healthy: {', '.join(down) or 'all'}"
        remedy = f'run "invoke {world.name}.up"'
        raise Missing(f"the {world.name} world", "is not up", cause, remedy)
    plan = world.plan
    mains = {state.name: state.pid for state in states if state.pid is not None}
    if lacking := {state.name for state in states} - mains.keys():
        raise CannotTell(min(lacking), "has no process", "its world names none")
    members: dict[str, set[int]] = {}
    for member in world.processes():
        members.setdefault(member.replica, set()).add(member.pid)
    answer = ask()
    filters, rename = seccomp_filters(mains.values()), renaming(plan, world.name)
    network = network_values(plan, world.name, mains, world.namespaces().get(HOST))
    values: dict[str, dict[str, str]] = {}

    def add(subject: str, found: Values) -> None:
        for key, value in found.items():
            values.setdefault(key, {})[subject] = value

    add(WHOLE, {"shape": plan.shape, "replicas": " ".join(sorted(mains)), **network.world})
    add(WHOLE, {f"software.{key}": value for key, value in world.software().items()})
    content = hashlib.sha256(answer).hexdigest()[:16]
    add(WHOLE, {"answer.bytes": str(len(answer)), "answer.content": content})
    for name, pid in mains.items():
        replica = plan.replica(name)
        pids = frozenset(members.get(name, ()))
        add(name, process_values(replica, pid, pids, rename, filters[pid]))
        add(name, network.replicas.get(name, {}))
    add(WHOLE, _stores(world, mains))
    add(WHOLE, _machine())
    return Fingerprint(world.name, values)


def _stores(world: LocalWorld, pids: Mapping[str, int]) -> dict[str, str]:
    values: dict[str, str] = {}
    for replica in world.plan.replicas:
        if replica.runtime == "postgres":
            values |= _postgres(pids[replica.name], replica.user)
        if replica.runtime == "redis":
            password = operator_password(world.secrets)
            inside = Path(f"/proc/{pids[replica.name]}/ns/net")
            found = redis.settings(Endpoint("127.0.0.1", replica.port), password, inside)
            values["redis.config"] = words(found)
    return values


def _postgres(pid: int, user: int) -> dict[str, str]:
    """Ask for its settings and rows by its own client, in its root and network."""
    enter = f"nsenter --target {pid} --net --mount --setgid {user} --setuid {user} -- /bin/bash -c"
    lines = process.run([*enter.split(), _PSQL], timeout_s=_TIMEOUT_S).stdout.splitlines()
    values = dict(line.partition("=")[::2] for line in lines)
    rows = {key: values.pop(key) for key in sorted(values) if key.startswith("rows.")}
    return {"postgres.settings": words(values), **rows}


def words(values: Values) -> str:
    """Write settings as words, NAME=VALUE, so that two worlds' differ word by word; pure."""
    shown = {name: "set" if SECRET.search(name) and text else text for name, text in values.items()}
    return " ".join(f"{name}={','.join(text.split())}" for name, text in sorted(shown.items()))


def _machine() -> dict[str, str]:
    texts = {name: Path(path) for name, path in _MACHINE.items()}
    found = {
        f"host.{name}": path.read_text().strip() for name, path in texts.items() if path.is_file()
    }
    return {"host.kernel": platform.release(), "host.cores": str(os.cpu_count()), **found}
