"""The Docker engine: find one that answers, or start our own and later stop exactly that.

A running engine is used as it is. When none answers and we are root, `dockerd` is started with
its data, state and cgroups in places of ours; what it changes on the host is noted down before
(`leftovers`), so that stopping it puts the host back.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from twinstack import switches
from twinstack.compose import leftovers
from twinstack.errors import CannotTell, Missing, StepFailed
from twinstack.software.building import locked, remove_tree
from twinstack.software.roots import STATE

START_TIMEOUT_S = 60.0
_HOLDER = "engine"
STOP_TIMEOUT_S = 60.0
API_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """Where an engine of ours lives.

    `prefix` is put before its command (`nsenter --net=…` for one in a network namespace).
    `by_environment`: DOCKER_HOST and its like lead to it when they are set.
    """

    socket: Path
    data_root: Path
    state: Path
    cgroup_parent: str
    prefix: tuple[str, ...] = ()
    by_environment: bool = False

    @property
    def log(self) -> Path:
        """Give dockerd's log file."""
        return self.state / "dockerd.log"

    @property
    def record(self) -> Path:
        """Give the note of what we started and what was before."""
        return self.state / "record.json"

    @property
    def pidfile(self) -> Path:
        """Give dockerd's own pid file."""
        return self.state / "dockerd.pid"

    @property
    def exec_root(self) -> Path:
        """Give the directory of its run-time state."""
        return self.state / "exec"

    @property
    def url(self) -> str:
        """Give the address that a client is told."""
        return (self.by_environment and os.environ.get("DOCKER_HOST")) or f"unix://{self.socket}"


DEFAULT = EnginePlace(
    socket=Path("/var/run/docker.sock"),
    data_root=STATE / "docker",
    state=Path("/run/twinstack/engine"),
    cgroup_parent="/twinstack-engine",
    by_environment=True,
)


def connect(place: EnginePlace = DEFAULT) -> docker.DockerClient | None:
    """Give a client of the engine that answers, or None when none does.

    Raises: Missing when one is there but may not be asked, or when the one that DOCKER_HOST
    names does not answer: what it holds cannot be told then.
    """
    try:
        if place.by_environment:
            client = docker.from_env(timeout=API_TIMEOUT_S)
        else:
            client = docker.DockerClient(base_url=place.url, timeout=API_TIMEOUT_S)
    except DockerException as error:
        _refuse_unless_absent(place, error)
        return None
    try:
        client.ping()
    except (DockerException, OSError) as error:
        client.close()
        _refuse_unless_absent(place, error)
        return None
    return client


def ensure_engine(place: EnginePlace, progress: Callable[[str], None]) -> docker.DockerClient:
    """Give a client of the engine, starting one when none answers.

    Raises: Missing when none can be started here; StepFailed when it does not come up.
    """
    client = connect(place)
    if client:
        return client
    check_startable()
    with locked(place.state, progress):
        client = connect(place)
        if client is None:
            progress(f"engine: none answers at {place.url}: starting dockerd (log: {place.log})")
            client = _start(place)
            progress(f"engine: {client.version()['Version']} is up; invoke clean stops it again")
    return client


def check_startable() -> None:
    """Check that an engine could be started here. Raises: Missing."""
    require_root("Docker engine", "none answers, and only root may start one")
    if not shutil.which("dockerd"):
        raise Missing("Docker engine", "is not installed", "", 'run "make setup"')


def require_root(what: str, why: str) -> None:
    """Check that we are root. Raises: Missing."""
    if os.geteuid() != 0:
        raise Missing(what, "cannot be changed", why, "run it as root (sudo)")


def revive(place: EnginePlace, progress: Callable[[str], None]) -> None:
    """Start our engine again if it died: only it can take its bridges and rules away cleanly."""
    record = _read_record(place)
    if record is None or _alive(record) or connect(place) or not place.data_root.exists():
        return
    with locked(place.state, progress):
        progress("engine: ours died: starting it again, to tidy up with it")
        try:
            _start(place)
        except StepFailed as error:  # what it left is then removed piece by piece
            progress(str(error))


def is_ours(place: EnginePlace) -> bool:
    """Say whether an engine that we started is running."""
    record = _read_record(place)
    return record is not None and _alive(record)


def stop_engine(place: EnginePlace, progress: Callable[[str], None]) -> tuple[str, ...]:
    """Stop the engine that we started, if we did, and put back what it changed on the host.

    Works after a crash of the engine too. Gives what was removed; nothing when it is not ours,
    and leaves it running while it has containers that are not ours to remove.
    """
    record = _read_record(place)
    if record is None:  # never started, or before the host's last boot
        gone = connect(place) is None and remove_tree(place.data_root)
        return (f"engine: {place.data_root}",) if gone else ()
    with locked(place.state, progress):
        removed: list[str] = []
        if _alive(record):
            client = connect(place)
            others = client.containers.list(all=True) if client else []
            if others:
                names = ", ".join(sorted(str(one.name) for one in others))
                progress(f"engine: left running: it still has containers: {names}")
                return ()
            if client:
                client.close()
            _terminate(int(record["pid"]), place)
            removed.append(f"engine: dockerd {record['pid']} stopped")
        removed += leftovers.remove(
            leftovers.Before.from_json(record["before"]),
            leftovers.Places(
                place.data_root, place.exec_root, place.socket, place.cgroup_parent, place.prefix
            ),
        )
    if not place.prefix:
        removed += switches.release(_HOLDER)
    shutil.rmtree(place.state, ignore_errors=True)
    return tuple(removed)


def _start(place: EnginePlace) -> docker.DockerClient:
    if not place.prefix:  # held together with the namespace world, which needs it too
        switches.hold("net.ipv4.ip_forward", "1", _HOLDER)
    # One that died left the host changed: what was before it still counts.
    record = _read_record(place)
    before = (
        leftovers.Before.from_json(record["before"]) if record else leftovers.observe(place.prefix)
    )
    settings = {
        "hosts": [f"unix://{place.socket}"],
        "data-root": str(place.data_root),
        "exec-root": str(place.exec_root),
        "pidfile": str(place.pidfile),
        "cgroup-parent": place.cgroup_parent,
        # The same everywhere, with systemd or without.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        # Docker's own choice may take 172.20.0.0/16: the tiers' addresses in the other world.
        "default-address-pools": [
            {"base": "172.31.0.0/16", "size": 24},
            {"base": "192.168.224.0/20", "size": 24},
        ],
        "log-level": "warn",
    }
    configuration = place.state / "daemon.json"
    configuration.write_text(json.dumps(settings, indent=2))
    place.data_root.mkdir(parents=True, exist_ok=True)
    place.data_root.chmod(0o711)
    # Noted before the act: a crash from here on can still be put right.
    _write_record(place, {"pid": 0, "ticks": 0, "before": before.to_json()})
    with place.log.open("ab") as log:
        process = subprocess.Popen(
            [*place.prefix, "dockerd", "--config-file", str(configuration)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
        )  # fmt: skip
    _write_record(
        place,
        {"pid": process.pid, "ticks": _start_ticks(process.pid), "before": before.to_json()},
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        client = connect(place)
        if client:
            return client
        if process.poll() is not None:
            break
        time.sleep(0.1)
    tail = place.log.read_text(errors="replace").splitlines()[-3:]
    raise StepFailed(
        "dockerd", "did not come up", " / ".join(tail), f"read {place.log}; invoke clean"
    )


def _terminate(pid: int, place: EnginePlace) -> None:
    os.kill(pid, 15)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _start_ticks(pid):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # when this very process started it
        if time.monotonic() > deadline:
            raise StepFailed(
                f"dockerd {pid}", "does not stop", f"still there after {STOP_TIMEOUT_S:g} s",
                f"read {place.log}",
            )  # fmt: skip
        time.sleep(0.1)


def _alive(record: dict[str, Any]) -> bool:
    pid = int(record["pid"])
    return bool(pid) and _start_ticks(pid) == record["ticks"]


def _start_ticks(pid: int) -> int:
    """Give when a process started, in clock ticks since boot; 0 when it is gone or a zombie.

    Pid and start together are unique. Source: proc(5), /proc/pid/stat fields 3 and 22.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _write_record(place: EnginePlace, record: dict[str, Any]) -> None:
    fresh = place.record.with_suffix(".new")
    fresh.write_text(json.dumps(record))
    fresh.rename(place.record)


def _read_record(place: EnginePlace) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(place.record.read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise CannotTell(
            str(place.record), "cannot be read", str(error), "remove it once dockerd is stopped"
        ) from error
    return found


def _refuse_unless_absent(place: EnginePlace, error: Exception) -> None:
    """Tell an engine that is not there from one that cannot be asked."""
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        raise Missing(place.url, "may not be used", "permission denied", "run it as root (sudo)")
    if place.by_environment and os.environ.get("DOCKER_HOST"):
        raise Missing(
            place.url, "does not answer", "DOCKER_HOST names this engine",
            "start it, or unset DOCKER_HOST",
        )  # fmt: skip
    absent = ("No such file", "Connection refused", "FileNotFound", "ConnectionRefused",
              "Connection aborted", "timed out")  # fmt: skip
    if not any(word in text for word in absent):
        raise CannotTell(place.url, "cannot be asked", text, "look at the engine's own log")
