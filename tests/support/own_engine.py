"""Engines of the tests' own, in network namespaces of their own: the user's is never touched.

Every name holds the pid of the test run, so that two runs do not meet; what a run that was
killed left behind is removed by the next.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from docker import DockerClient

from tests.support.project import ROOT
from twinstack.compose import engine_leftovers
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.engine_record import read_record
from twinstack.compose.world import DockerWorld
from twinstack.linux.procfs import start_ticks
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.software.building import remove_tree

RUN = os.getpid()
INSTANCE = f"dt{RUN}"


def namespace_of(name: str) -> str:
    return f"twinstack-dockertest-{name}"


def engine_paths(name: str) -> EnginePaths:
    """Give the paths of an engine in the network namespace of its name."""
    full = namespace_of(name)
    return EnginePaths(
        socket=Path(f"/run/{full}/docker.sock"),
        data_root=Path(f"/var/lib/{full}/data"),
        state=Path(f"/run/{full}/engine"),
        cgroup_parent=f"/{full}",
        prefix=("nsenter", f"--net=/run/netns/{full}"),
    )


ENGINE = engine_paths(str(RUN))
PREFIX = ENGINE.prefix


def in_namespace(*command: str, check: bool = True, prefix: tuple[str, ...] = PREFIX) -> str:
    """Run a command in the tests' network namespace and give what it printed."""
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def make_namespace(name: str) -> None:
    subprocess.run(["ip", "netns", "add", namespace_of(name)], check=True)
    in_namespace("ip", "link", "set", "lo", "up", prefix=engine_paths(name).prefix)


def remove_namespace(name: str) -> None:
    subprocess.run(["ip", "netns", "delete", namespace_of(name)], capture_output=True, check=False)


def remove_what_dead_runs_left() -> None:
    """End the engines of test runs whose process is gone; never those of one that runs."""
    for directory in Path("/run").glob(namespace_of("*")):
        name = directory.name.removeprefix(namespace_of(""))
        owner = re.match(r"\d+", name)
        if owner and not Path(f"/proc/{owner[0]}").exists():
            end_engine(engine_paths(name))
            remove_namespace(name)


def end_engine(engine: EnginePaths) -> None:
    """Stop an engine of the tests, whatever it holds."""
    # What is removed are the parents of its directories: of another layout they are not ours.
    for directory in (engine.state, engine.data_root):
        assert directory.parent.name.startswith(namespace_of("")), directory
    record = read_record(engine)
    if record:
        if record.alive:
            os.kill(record.pid, signal.SIGTERM)
            while start_ticks(record.pid):
                with suppress(ChildProcessError):
                    os.waitpid(record.pid, os.WNOHANG)
                time.sleep(0.05)
        engine_leftovers.remove(record.before, engine, record.token)
    for directory in (engine.state, engine.state.parent, engine.data_root.parent):
        if directory.exists():
            remove_tree(directory)


def kill_engine(engine: EnginePaths) -> None:
    """Kill an engine of the tests: what it held stays, and the next command finds none."""
    record = read_record(engine)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    while start_ticks(record.pid):
        with suppress(ChildProcessError):
            os.waitpid(record.pid, os.WNOHANG)
        time.sleep(0.01)


def is_ours(engine: EnginePaths) -> bool:
    """Whether an engine that we started is running."""
    record = read_record(engine)
    return record is not None and record.alive


def cgroups_of(engine: EnginePaths) -> list[Path]:
    """List the cgroups of an engine, whatever its token; another engine's name is longer.

    Source: twinstack.compose.engine_paths.EnginePaths.cgroups.
    """
    name = engine.cgroup_parent.strip("/")
    return sorted(
        path
        for pattern in (f"{name}*", f"*/{name}*")  # cgroup v2; v1, one hierarchy for a controller
        for path in Path("/sys/fs/cgroup").glob(pattern)
        if re.fullmatch(rf"{re.escape(name)}(-[0-9a-f]{{8}})?", path.name)
    )


def world(shape: str = "flat") -> DockerWorld:
    plan = resolve(load(ROOT / "topology.yml"), shape, INSTANCE)
    return DockerWorld(plan, ENGINE, ROOT)


def print_nothing(_line: str) -> None:
    """Take progress and drop it."""


def import_sleep(client: DockerClient, name: str, *labels: str) -> None:
    """Make an image that holds `sleep` and what it needs, and nothing else."""
    listed = subprocess.run(["ldd", "/bin/sleep"], capture_output=True, text=True, check=True)
    files = ["/bin/sleep", *re.findall(r"/\S+", listed.stdout)]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
        for file in files:
            archive.add(file, arcname=file.lstrip("/"))
    repository, tag = name.split(":")
    client.api.import_image_from_data(
        packed.getvalue(),
        repository=repository,
        tag=tag,
        changes=[f"LABEL {label}" for label in labels],
    )


def start_sleep(client: DockerClient, image: str) -> int:
    """Run a container that sleeps; give its pid."""
    container: Any = client.containers.run(
        image, ["/bin/sleep", "600"], detach=True, network_mode="none", stop_signal="SIGKILL"
    )
    container.reload()
    return int(container.attrs["State"]["Pid"])


_HIDE = """
cut -d' ' -f5 /proc/self/mountinfo | grep -F {name} | tac |
while read -r inherited; do umount --lazy "$inherited" || :; done
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs {data}
ip link set lo up
echo ready
exec sleep infinity
"""
_IN_HIDING = """
import json, sys
from pathlib import Path
from tests.support import own_engine
from twinstack.compose.engine import ensure_engine
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.engine_stop import stop_engine
verb, written = sys.argv[1:]
words = json.loads(written)
paths = (Path(words[key]) for key in ("socket", "data_root", "state"))
engine = EnginePaths(*paths, words["cgroup"])
client = ensure_engine(engine, own_engine.print_nothing)
if verb == "up":
    own_engine.import_sleep(client, "sleep:1", "twinstack.kind=image")
    print(own_engine.start_sleep(client, "sleep:1"))
else:
    for container in client.containers.list(all=True):
        container.remove(force=True)
    client.images.remove("sleep:1")
    print(stop_engine(engine, own_engine.print_nothing))
"""


@dataclass(frozen=True)
class HiddenEngine:
    """An engine whose paths are those of another, seen from a mount namespace of its own."""

    holder: int
    engine: EnginePaths

    def do(self, verb: str) -> str:
        words = {
            "socket": str(self.engine.socket),
            "data_root": str(self.engine.data_root),
            "state": str(self.engine.state),
            "cgroup": self.engine.cgroup_parent,
        }
        done = subprocess.run(
            [
                "nsenter",
                "--target",
                str(self.holder),
                "--net",
                "--mount",
                "--",
                "env",
                f"--chdir={ROOT}",
                f"PYTHONPATH={ROOT}",
                sys.executable,
                "-c",
                _IN_HIDING,
                verb,
                json.dumps(words),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def hidden_engine(engine: EnginePaths) -> Iterator[HiddenEngine]:
    """Give a host whose paths are the same and whose files are not, as a sandbox does."""
    words = [
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-ec",
        _HIDE.format(name=engine.data_root.parent.name, data=engine.data_root.parent),
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield HiddenEngine(process.pid, replace(engine, prefix=()))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
