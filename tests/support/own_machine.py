"""Machines of the tests' own: a userland with a network, processes, mounts and cgroups of its own.

Its root is the host's, of which it changes nothing, or a Debian tree. Its first process is a child
of the test run: when either ends, all that runs in the machine ends, and its mounts and network go.
Cgroups and files of a run that was killed are removed by the next.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support import contract
from tests.support.project import ROOT
from tests.support.sandbox import INVOKE, Sandbox
from twinstack.software.building import remove_tree

RUN = os.getpid()
PREFIX = "twinstack-machine-"
LIB = Path("/var/lib")
CGROUPS = Path("/sys/fs/cgroup")
HOST = Path("/")
#: An instance's name is short; the machine's own is not seen by anything outside.
INSTANCE = f"m{RUN % 100_000}"
_SCRIPT = Path(__file__).with_suffix(".sh")
_END_TIMEOUT_S = 20


@dataclass(frozen=True)
class OwnMachine(Sandbox):
    """A machine; `host` is the pid of its first process."""

    root: Path = HOST

    def command(self, words: Sequence[str], *, where: str = "host") -> list[str]:
        """Give the words that run a command in there."""
        namespaces = ("--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup")
        target = ["nsenter", "--target", str(self.host), *namespaces, "--"]
        return [*target, "/run/enter", str(ROOT), *words]

    def invoke(
        self, *words: str, check: bool = True, timeout_s: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a task by the machine's own interpreter; its JSON is as its schema says."""
        program = INVOKE if self.root == HOST else f"{ROOT}/.venv/bin/invoke"
        own = ("env", *(f"{name}={value}" for name, value in environment.items()))
        done = self.run(*own, program, *words, check=check, timeout_s=timeout_s)
        if "--json" in words:
            contract.check(done.stdout)
        return done


@contextmanager
def own_machine(
    name: str, root: Path = HOST, *, shared_network: bool = False
) -> Iterator[OwnMachine]:
    """Give a machine while the block lasts; `shared_network`: to reach the mirrors of packages."""
    full = f"{PREFIX}{RUN}-{name}"
    network = "shared" if shared_network else "own"
    with own_directory(name) as state:
        words = ["setpriv", "--pdeathsig", "KILL", str(_SCRIPT)]
        words += [full, str(root), str(state), str(ROOT), network]
        holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text()
            yield OwnMachine(int(children), 0, INSTANCE, root)
        finally:
            holder.kill()  # and the kernel its first process, hence all
            holder.wait()
            _remove_cgroups(full)


@contextmanager
def own_directory(name: str) -> Iterator[Path]:
    """Give a directory of this run's own while the block lasts, on a disk."""
    remove_what_dead_runs_left()
    directory = LIB / f"{PREFIX}{RUN}-{name}"
    directory.mkdir()
    try:
        yield directory
    finally:
        remove_tree(directory)


def remove_what_dead_runs_left() -> None:
    """Remove directories and cgroups of test runs whose process is gone."""
    for directory in (*CGROUPS.glob(f"{PREFIX}*"), *CGROUPS.glob(f"*/{PREFIX}*")):
        if _is_dead(directory.name):
            _remove_cgroups(directory.name)
    for directory in LIB.glob(f"{PREFIX}*"):
        if _is_dead(directory.name):
            remove_tree(directory)


def _is_dead(name: str) -> bool:
    owner = re.match(r"\d+", name.removeprefix(PREFIX))
    return owner is not None and not Path(f"/proc/{owner[0]}").exists()


def _remove_cgroups(name: str) -> None:
    """Remove a machine's cgroups, once its last process has ended. Fails when that stays."""
    tops = [path for path in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")) if path.is_dir()]
    directories = [Path(path) for top in tops for path, *_ in os.walk(top, topdown=False)]
    deadline = time.monotonic() + _END_TIMEOUT_S
    for directory in directories:
        while directory.exists():
            with suppress(OSError):
                directory.rmdir()
                break
            assert time.monotonic() < deadline, f"{directory}: its processes do not end"
            time.sleep(0.05)
