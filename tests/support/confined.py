"""A replica and a process that are confined as declared."""

from __future__ import annotations

from tests.support.core_cases import planned
from twinstack.confinement.requirements import CAPABILITY_SETS, ConfinedProcess
from twinstack.linux.cgroup import CgroupLimits
from twinstack.model.topology import Limits

REPLICA = planned().replica("postgres-db")
assert REPLICA.limits is not None
LIMITS: Limits = REPLICA.limits
PROCESS = ConfinedProcess(
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
