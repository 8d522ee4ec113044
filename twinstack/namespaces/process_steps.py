"""Steps that start the services: cgroups, directories, files, the supervisor, processes; pure.

`launch` lists them, `apply` holds their effects.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass

from twinstack.model.topology import Limits
from twinstack.namespaces.facts import NetFacts
from twinstack.reconcile import Described


@dataclass(frozen=True, slots=True)
class Cgroup(Described):
    """Limit a replica's CPU, memory and processes; without limits they are only counted.

    Source: cgroups(7). Same as: mkdir and writes under /sys/fs/cgroup.
    """

    replica: str
    path: str  # below each controller's mount
    limits: Limits | None
    limit_values: tuple[tuple[str, str], ...]  # each limit's file name → its value as read back
    files: tuple[tuple[str, str], ...]  # each file to write → its value; "": none to write
    NAME = "cgroup {0.replica}"

    @property
    def commands(self) -> tuple[str, ...]:
        directories = dict.fromkeys(file.rsplit("/", 1)[0] for file, _ in self.files)
        return (
            *(f"mkdir -p {directory}" for directory in directories),
            *(f"echo {value} > {file}" for file, value in self.files if value),
        )

    def difference(self, facts: NetFacts) -> str | None:
        limits = facts.cgroups.get(self.replica)
        if limits is None:
            return "is absent"
        for key, value in self.limit_values:
            if limits.get(key) != value:
                return f"{key} is {limits.get(key)}, not {value}"
        return None


def digest(content: str | bytes) -> str:
    """Give the short digest by which contents are compared."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:12]


def directory_facts(mode: int, user: int) -> str:
    """Describe a directory, for comparison and messages."""
    return f"a directory {mode:04o} of user {user}"


def file_facts(digest: str, mode: int) -> str:
    """Describe a file, for comparison."""
    return f"a file {mode:04o} {digest}"


@dataclass(frozen=True, slots=True)
class InstanceDirectory(Described):
    """Create a directory of ours. Same as: install -d -m MODE -o USER."""

    path: str
    mode: int
    user: int
    NAME = "directory {0.path}"
    COMMANDS = ("install -d -m {0.mode:04o} -o {0.user} -g {0.user} {0.path}",)

    def difference(self, facts: NetFacts) -> str | None:
        current, desired = facts.files.get(self.path), directory_facts(self.mode, self.user)
        if current is None:
            return "is absent"
        return None if current == desired else f"is {current}, not {desired}"


@dataclass(frozen=True, slots=True)
class InstanceFile(Described):
    """Write a file of ours. Same as: install -m MODE."""

    path: str
    content: str
    mode: int = 0o644
    in_place: bool = False  # bind-mounted into roots: a mount would keep a file that was replaced
    NAME = "file {0.path}"
    COMMANDS = ("install -m {0.mode:04o} /dev/stdin {0.path}",)

    @property
    def digest(self) -> str:
        return digest(self.content)

    @property
    def as_written(self) -> str:
        return file_facts(self.digest, self.mode)

    def difference(self, facts: NetFacts) -> str | None:
        current = facts.files.get(self.path)
        if current is None:
            return "is absent"
        return None if current == self.as_written else "has different content or another mode"


@dataclass(frozen=True, slots=True)
class Supervisor(Described):
    """Start the supervisor, which starts and restarts every process; a running one reloads."""

    command: tuple[str, ...]  # its PYTHONPATH, then the words
    programs: frozenset[str]  # those it must know
    NAME = "supervisor"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"PYTHONPATH={self.command[0]} {shlex.join(self.command[1:])}",)

    def difference(self, facts: NetFacts) -> str | None:
        if not facts.owned.supervisor:
            return "is not running"
        unknown = sorted(self.programs - facts.owned.programs)
        return f"does not know {', '.join(unknown)}" if unknown else None


@dataclass(frozen=True, slots=True)
class ReplicaProcess(Described):
    """Run a replica's process by its launch script. Same as: supervisorctl start NAME."""

    replica: str
    script: str
    digest: str  # what the process carries of the script that started it
    written: str  # the script as in `file_facts`: for a process that lost its environment (nginx)
    namespace: str | None  # None: the host's own
    NAME = "process {0.replica}"
    COMMANDS = ("{0.script} &",)

    def difference(self, facts: NetFacts) -> str | None:
        process = facts.processes.get(self.replica)
        if process is None or process.pid is None:
            return f"is {process.state.lower() if process else 'absent'}"
        if self.namespace is not None:
            namespace = facts.namespaces.get(self.namespace)
            if namespace is None or process.namespace_inode not in {None, namespace.inode}:
                return "runs in a namespace that is gone"
        if process.launch is None and facts.files.get(self.script) != self.written:
            return "was started by another script"
        if process.launch not in {None, self.digest}:
            return "was started by an older script"
        return None
