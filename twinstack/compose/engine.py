"""The Docker engine: find one that answers, or start our own.

A running engine is used as it is. When none answers and we are root, `dockerd` is started in
directories of ours (`engine_paths`). Its process and the host's state before it are recorded
(`engine_record`), so that `engine_stop` can stop exactly that one and restore the host.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twinstack.compose import engine_contents, engine_leftovers
from twinstack.compose.engine_paths import DEFAULT, EnginePaths, is_absent, no_engine
from twinstack.compose.engine_record import EngineRecord, read_record, write_record
from twinstack.errors import CannotTell, Missing, StepFailed
from twinstack.linux.procfs import start_ticks
from twinstack.reconcile import Progress
from twinstack.software.building import locked
from twinstack.state import host_sysctls
from twinstack.world import require_root

if TYPE_CHECKING:
    import docker

START_TIMEOUT_S = 60.0
API_TIMEOUT_S = 120
#: Who holds net.ipv4.ip_forward for an engine of ours.
SYSCTL_HOLDER = "engine"
#: What a client says of a socket with no engine behind it.
_NO_ANSWER = (
    "No such file",
    "Connection refused",
    "FileNotFound",
    "ConnectionRefused",
    "Connection aborted",
    "timed out",
)


def connect(engine: EnginePaths = DEFAULT) -> docker.DockerClient | None:
    """Give a client of the engine that answers, or None when none does.

    Raises: Missing when one is there but may not be asked, or when the one that DOCKER_HOST names
    does not answer; CannotTell.
    """
    if is_absent(engine):
        return None
    import docker  # 0.1 s that a task without an engine does not need
    from docker.errors import DockerException

    client: docker.DockerClient | None = None
    try:
        if engine.by_environment:
            client = docker.from_env(timeout=API_TIMEOUT_S)
        else:
            client = docker.DockerClient(base_url=engine.url, timeout=API_TIMEOUT_S)
        client.ping()
    except (DockerException, OSError) as error:
        if client:
            client.close()
        text = str(error)
        if "Permission denied" in text or "PermissionError" in text:
            cause, remedy = "permission denied", "run it as root (sudo)"
            raise Missing(engine.url, "may not be used", cause, remedy) from error
        engine.check_unnamed()
        if not any(words in text for words in _NO_ANSWER):
            remedy = "look at the engine's own log"
            raise CannotTell(engine.url, "cannot be asked", text, remedy) from error
        return None
    return client


def connect_or_fail(engine: EnginePaths) -> docker.DockerClient:
    """Give a client of the engine. Raises: Missing when none answers, and as `connect`."""
    client = connect(engine)
    if client is None:
        raise no_engine()
    return client


def at_socket(engine: EnginePaths) -> docker.DockerClient | None:
    """Give a client of the engine at our own socket, wherever DOCKER_HOST leads."""
    return connect(replace(engine, by_environment=False))


def ensure_engine(engine: EnginePaths, progress: Progress) -> docker.DockerClient:
    """Give a client of the engine, starting one when none answers.

    Raises: Missing when none can be started here; StepFailed when it does not come up.
    """
    client = connect(engine)
    if client:
        return client
    check_startable()
    with locked(engine.state, progress):
        client = connect(engine)
        if client is None:
            progress(f"engine: none answers at {engine.url}: starting dockerd (log: {engine.log})")
            client = start(engine)
            progress(f"engine: {client.version()['Version']} is up; invoke clean stops it again")
    return client


def check_startable() -> None:
    """Check that an engine could be started here. Raises: Missing."""
    require_root("dockerd (no engine answers)")
    if not shutil.which("dockerd"):
        raise Missing("Docker engine", "is not installed", "", 'run "make setup"')


def revive(engine: EnginePaths, progress: Progress, *, unrecorded: bool = False) -> None:
    """Start our engine again if it died: only it can remove its bridges and rules cleanly.

    `unrecorded`: also when only its data are left, as after a reboot, to look into them.
    """
    record = read_record(engine)
    if record is None and not unrecorded:
        return
    alive = record is not None and record.alive
    if at_socket(engine) or (engine_contents.is_bare(engine.data_root) and not alive):
        return
    what = "ours died" if record else f"{engine.data_root} is in use"
    progress(
        f"engine: {'waiting for it' if alive else f'{what}: starting it, to clean up with it'}"
    )
    try:
        check_startable()
        with locked(engine.state, progress):
            start(engine).close()
    except (Missing, StepFailed) as error:  # what can be removed without it is; its data stay
        progress(str(error))


def start(engine: EnginePaths) -> docker.DockerClient:
    """Start our engine on its data, and wait until it answers. Raises: StepFailed."""
    if not engine.prefix:  # held together with the namespace world, which needs it too
        host_sysctls.hold("net.ipv4.ip_forward", "1", SYSCTL_HOLDER)
    # One that died left the host changed, and perhaps containers: the state before it still
    # counts, and its token still names them.
    record = read_record(engine) or EngineRecord(
        before=engine_leftovers.observe(engine.prefix), token=secrets.token_hex(4)
    )
    if record.alive:  # a command that started it was ended before it came up
        return _wait_until_up(engine, lambda: record.alive)
    record = replace(record, pid=0, ticks=0)
    _remove_stale(engine.pidfile, engine.exec_root(record.token) / "containerd/containerd.pid")
    engine_leftovers.unplug(engine, record.token)
    configuration = engine.configuration(record.token)
    configuration.write_text(json.dumps(_settings(engine, record.token), indent=2))
    engine.data_root.mkdir(parents=True, exist_ok=True)
    engine.data_root.chmod(0o711)
    write_record(engine, record)  # before the act: the host can be restored after any crash
    with engine.log.open("ab") as log:
        process = subprocess.Popen(
            [*engine.prefix, "dockerd", "--config-file", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    write_record(engine, replace(record, pid=process.pid, ticks=start_ticks(process.pid)))
    return _wait_until_up(engine, lambda: process.poll() is None)


def _remove_stale(*pidfiles: Path) -> None:
    """Remove pid files of zombies: dockerd takes those for processes that run."""
    for file in pidfiles:
        with contextlib.suppress(FileNotFoundError, ValueError):
            if not start_ticks(int(file.read_text())):
                file.unlink()


def _settings(engine: EnginePaths, token: str) -> dict[str, object]:
    return {
        "hosts": [f"unix://{engine.socket}"],
        "data-root": str(engine.data_root),
        "exec-root": str(engine.exec_root(token)),
        "pidfile": str(engine.pidfile),
        "cgroup-parent": engine.cgroups(token),
        # The same everywhere, with systemd or without.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        # Docker's own choice may be 172.20.0.0/16: the tiers' addresses in the other world.
        "default-address-pools": [
            {"base": "172.31.0.0/16", "size": 24},
            {"base": "192.168.224.0/20", "size": 24},
        ],
        "log-level": "warn",
        **dict(engine.settings),
    }


def _wait_until_up(engine: EnginePaths, runs: Callable[[], bool]) -> docker.DockerClient:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        client = at_socket(engine)
        if client:
            return client
        if not runs():
            break
        time.sleep(0.1)
    tail = " / ".join(engine.log.read_text(errors="replace").splitlines()[-3:])
    raise StepFailed("dockerd", "did not come up", tail, f"read {engine.log}; invoke clean")
