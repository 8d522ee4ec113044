"""What runs in the network, as steps: cgroups, files, the supervisor, processes; pure.

The network's own steps, and what a step is, are in `steps`.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from twinstack.model.plan import Limits
from twinstack.namespaces.facts import Facts


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Bound a replica's CPU, memory and processes; without limits it is only counted.

    Source: cgroups(7). Same as: mkdir and writes under /sys/fs/cgroup.
    """

    replica: str
    path: str
    limits: Limits | None
    wanted: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        return f"cgroup {self.replica}"

    @property
    def commands(self) -> tuple[str, ...]:
        directories = dict.fromkeys(file.rsplit("/", 1)[0] for file, _ in self.files)
        return (
            *(f"mkdir -p {directory}" for directory in directories),
            *(f"echo {value} > {file}" for file, value in self.files if value),
        )

    def difference(self, facts: Facts) -> str | None:
        there = facts.cgroups.get(self.replica)
        if there is None:
            return "is absent"
        for key, value in self.wanted:
            if there.get(key) != value:
                return f"{key} is {there.get(key)}, not {value}"
        return None


def directory_facts(mode: int, user: int) -> str:
    """Put a directory as it is, or is to be, into words."""
    return f"a directory {mode:04o} of user {user}"


def file_facts(digest: str, mode: int) -> str:
    """Put a file as it is, or is to be, into words."""
    return f"a file {mode:04o} {digest}"


@dataclass(frozen=True, slots=True)
class Directory:
    """Make a directory of ours. Same as: install -d -m MODE -o USER."""

    path: str
    mode: int
    user: int

    @property
    def name(self) -> str:
        return f"directory {self.path}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"install -d -m {self.mode:04o} -o {self.user} -g {self.user} {self.path}",)

    def difference(self, facts: Facts) -> str | None:
        there = facts.files.get(self.path)
        if there is None:
            return "is absent"
        wanted = directory_facts(self.mode, self.user)
        return None if there == wanted else f"is {there}, not {wanted}"


@dataclass(frozen=True, slots=True)
class File:
    """Write a file of ours; `digest` is that of its content.

    `in_place`: processes have it bound into their roots, and a bind mount keeps a file that was
    replaced, so it is written over.
    """

    path: str
    content: str
    digest: str
    mode: int = 0o644
    in_place: bool = False

    @property
    def name(self) -> str:
        return f"file {self.path}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"install -m {self.mode:04o} /dev/stdin {self.path}",)

    def difference(self, facts: Facts) -> str | None:
        there = facts.files.get(self.path)
        if there is None:
            return "is absent"
        wanted = file_facts(self.digest, self.mode)
        return None if there == wanted else "has another content or mode"


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Start the supervisor that starts, watches and restarts every process.

    `programs` are those it is to know of. One that is running reads its file anew.
    """

    command: tuple[str, ...]
    programs: frozenset[str]

    @property
    def name(self) -> str:
        return "supervisor"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"PYTHONPATH={self.command[0]} {shlex.join(self.command[1:])}",)

    def difference(self, facts: Facts) -> str | None:
        if not facts.supervisor_pid:
            return "is not running"
        unknown = sorted(self.programs - facts.owned.programs)
        return f"does not know {', '.join(unknown)}" if unknown else None


@dataclass(frozen=True, slots=True)
class Process:
    """Run a replica's process by its launch script.

    `digest` is what the process carries of the script that started it, `written` how that script
    is to be (in the words of `file_facts`): for a process that has lost its environment, as nginx
    does. `namespace` is None for one that belongs to the host. Same as: supervisorctl start NAME.
    """

    replica: str
    script: str
    digest: str
    written: str
    namespace: str | None

    @property
    def name(self) -> str:
        return f"process {self.replica}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"{self.script} &",)

    def difference(self, facts: Facts) -> str | None:
        there = facts.processes.get(self.replica)
        if there is None or there.pid is None:
            return f"is {there.state.lower() if there else 'absent'}"
        if self.namespace is not None:
            home = facts.namespaces.get(self.namespace)
            if home is None or there.namespace_inode not in {None, home.inode}:
                return "runs in a namespace that is gone"
        if there.launch is None and facts.files.get(self.script) != self.written:
            return "was started by another script"
        if there.launch not in {None, self.digest}:
            return "was started by an older script"
        return None
