"""The Docker engine: find one that answers, or start our own and later stop exactly that.

A running engine is used as it is. When none answers and we are root, `dockerd` is started in
directories of ours (`engine_paths`). Its process and the host's state before it are recorded
(`engine_record`), so that stopping it restores the host (`engine_leftovers`). It keeps running,
and its data stay, while it holds anything that is not ours (`engine_contents`) or that cannot be
checked.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker
from docker.errors import DockerException

from twinstack.compose import engine_contents, engine_leftovers
from twinstack.compose.engine_paths import DEFAULT, EnginePaths
from twinstack.compose.engine_record import Record, read_record, write_record
from twinstack.errors import CannotTell, Missing, StepFailed, TwinstackError
from twinstack.linux.procfs import start_ticks
from twinstack.software.building import locked, remove_tree
from twinstack.state import host_sysctls

__all__ = [
    "DEFAULT",
    "EnginePaths",
    "check_startable",
    "connect",
    "ensure_engine",
    "is_ours",
    "require_root",
    "revive",
    "stop_engine",
]
START_TIMEOUT_S = 60.0
_HOLDER = "engine"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
STOP_TIMEOUT_S = 60.0
API_TIMEOUT_S = 120


def connect(engine: EnginePaths = DEFAULT) -> docker.DockerClient | None:
    """Give a client of the engine that answers, or None when none does.

    Raises: Missing when one is there but may not be asked, or when the one that DOCKER_HOST
    names does not answer: what it holds cannot be told then.
    """
    try:
        if engine.by_environment:
            client = docker.from_env(timeout=API_TIMEOUT_S)
        else:
            client = docker.DockerClient(base_url=engine.url, timeout=API_TIMEOUT_S)
    except DockerException as error:
        _refuse_unless_absent(engine, error)
        return None
    try:
        client.ping()
    except (DockerException, OSError) as error:
        client.close()
        _refuse_unless_absent(engine, error)
        return None
    return client


def ensure_engine(engine: EnginePaths, progress: Callable[[str], None]) -> docker.DockerClient:
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
            client = _start(engine)
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


def revive(
    engine: EnginePaths, progress: Callable[[str], None], *, unrecorded: bool = False
) -> None:
    """Start our engine again if it died: only it can take its bridges and rules away cleanly.

    `unrecorded`: also when only its data are left, as after a reboot, to look into them.
    """
    record = read_record(engine)
    if record is None and not unrecorded:
        return
    alive = record is not None and record.alive
    if _at_socket(engine) or (engine_contents.is_bare(engine.data_root) and not alive):
        return
    what = (
        "ours died: starting it again" if record else f"{engine.data_root} is in use: starting it"
    )
    progress("engine: waiting for it" if alive else f"engine: {what}, to tidy up with it")
    try:
        check_startable()
        with locked(engine.state, progress):
            _start(engine).close()
    except (Missing, StepFailed) as error:  # what can be removed without it is, its data not
        progress(str(error))


def is_ours(engine: EnginePaths) -> bool:
    """Say whether an engine that we started is running."""
    record = read_record(engine)
    return record is not None and record.alive


def stop_engine(engine: EnginePaths, progress: Callable[[str], None]) -> tuple[str, ...]:
    """Stop the engine that we started, if we did, and put back what it changed on the host.

    Works after a crash of the engine too. Gives what was removed; nothing when it is not ours,
    and leaves it running while it holds what is not ours to remove. Another's engine at the
    socket keeps what all engines share. Raises: CannotTell when what the data hold cannot be
    told: they stay.
    """
    if read_record(engine) is None:
        return _without_record(engine)
    with locked(engine.state, progress):
        record = read_record(engine)
        if record is None:  # another command stopped it meanwhile
            return ()
        client = _at_socket(engine)
        if client is None:
            removed = _stop_silent(engine, record, progress)
        else:
            with contextlib.closing(client):
                stopped = _stop_answering(engine, record, client, progress)
            if stopped is None:
                return ()
            removed = stopped
    shutil.rmtree(engine.state, ignore_errors=True)
    return tuple(removed)


def _without_record(engine: EnginePaths) -> tuple[str, ...]:
    """Never started, or before the host's last boot, and `revive` could not start it again."""
    client = _at_socket(engine)
    if not engine_contents.is_bare(engine.data_root):
        if client:
            cause = f"another's engine answers at {engine.url}, so none of ours can look into it"
            if _is_it(client, engine):
                cause = "an engine runs on it of which nothing is recorded"
        elif shutil.which("dockerd"):
            cause = f"dockerd does not start to look into it (see {engine.log})"
        else:
            cause = "it holds an engine's data, and there is no dockerd here to look into them"
        raise _kept(engine, cause)
    if not engine.prefix:  # of a start that was cut short before anything was noted
        host_sysctls.release(_HOLDER)
    gone = client is None and remove_tree(engine.data_root)
    return (f"engine: {engine.data_root}",) if gone else ()


def _stop_silent(engine: EnginePaths, record: Record, progress: Callable[[str], None]) -> list[str]:
    """Tidy up after our engine when none answers at its socket."""
    if record.alive:
        raise CannotTell(
            f"dockerd {record.pid}",
            "does not answer",
            f"it is ours, but not at {engine.url}",
            f"read {engine.log}; end it, then run: invoke clean",
        )
    bare = engine_contents.is_bare(engine.data_root)
    where = _places(engine, record)
    removed = engine_leftovers.remove(record.before, where, data=bare)
    if not engine.prefix:
        removed += host_sysctls.release(_HOLDER)
    if not bare:
        for line in removed:
            progress(line)
        raise _kept(engine, f"nobody can look into it: dockerd does not start (see {engine.log})")
    return removed


def _stop_answering(
    engine: EnginePaths,
    record: Record,
    client: docker.DockerClient,
    progress: Callable[[str], None],
) -> list[str] | None:
    """Stop our engine, or tidy up after it behind another's; None when it is left running."""
    if not _is_it(client, engine):
        return _remove_behind(engine, record, progress)
    others = engine_contents.others(client)
    if others:
        progress(f"engine: left running: it still holds {', '.join(others)}")
        return None
    client.close()
    removed: list[str] = []
    if record.alive:
        _terminate(record.pid, engine)
        removed.append(f"engine: dockerd {record.pid} stopped")
    removed += engine_leftovers.remove(record.before, _places(engine, record))
    if not engine.prefix:
        removed += host_sysctls.release(_HOLDER)
    return removed


def _remove_behind(
    engine: EnginePaths, record: Record, progress: Callable[[str], None]
) -> list[str]:
    """Remove what was our engine's alone, while another's answers at the socket."""
    progress(
        f"engine: another's answers at {engine.url}: "
        "the socket, bridges, rules and sysctls are left as they are"
    )
    others = engine_contents.others_at(engine.data_root)
    removed: list[str] = []
    if record.alive:
        # Asked to stop, it would unlink the socket that is another's by now.
        os.kill(record.pid, 9)
        _wait_for_end(record.pid, engine)
        removed.append(f"engine: dockerd {record.pid} ended")
    removed += engine_leftovers.remove_own(_places(engine, record), data=not others)
    if not engine.prefix:  # let go of it, but what the other engine needs stays as it is
        forwarding = _FORWARDING.read_text()
        host_sysctls.release(_HOLDER)
        _FORWARDING.write_text(forwarding)
    if others:
        for line in removed:
            progress(line)
        raise _kept(engine, f"it holds {', '.join(others)}")
    return removed


def _kept(engine: EnginePaths, cause: str) -> TwinstackError:
    return CannotTell(
        str(engine.data_root),
        "is not removed",
        cause,
        "save what you need of it, then remove it by hand; or free the socket and dockerd, "
        "and run: invoke clean",
    )


def _at_socket(engine: EnginePaths) -> docker.DockerClient | None:
    """Give a client of the engine at our own socket, wherever DOCKER_HOST leads."""
    return connect(replace(engine, by_environment=False))


def _is_it(client: docker.DockerClient, engine: EnginePaths) -> bool:
    """Say whether the engine that answers is the one that lives at a engine."""
    answers: str = client.info()["DockerRootDir"]
    return os.path.realpath(answers) == os.path.realpath(engine.data_root)


def _places(engine: EnginePaths, record: Record) -> engine_leftovers.InstancePaths:
    return engine_leftovers.InstancePaths(
        engine.data_root,
        engine.exec_root(record.token),
        engine.socket,
        engine.cgroups(record.token),
        engine.prefix,
    )


def _start(engine: EnginePaths) -> docker.DockerClient:
    if not engine.prefix:  # held together with the namespace world, which needs it too
        host_sysctls.hold("net.ipv4.ip_forward", "1", _HOLDER)
    # One that died left the host changed, and perhaps containers: what was before it still
    # counts, and its token still names them.
    record = read_record(engine) or Record(
        token=secrets.token_hex(4), before=engine_leftovers.observe(engine.prefix)
    )
    if record.alive:  # a command that started it was ended before it came up
        return _await(engine, lambda: record.alive)
    record = replace(record, pid=0, ticks=0)
    _forget_dead(engine.pidfile, engine.exec_root(record.token) / "containerd/containerd.pid")
    configuration = engine.configuration(record.token)
    configuration.write_text(json.dumps(_settings(engine, record.token), indent=2))
    engine.data_root.mkdir(parents=True, exist_ok=True)
    engine.data_root.chmod(0o711)
    # Noted before the act: a crash from here on can still be put right.
    write_record(engine, record)
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
    return _await(engine, lambda: process.poll() is None)


def _forget_dead(*pidfiles: Path) -> None:
    """Remove pid files whose process is a zombie: dockerd takes it for one that runs."""
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
        # Docker's own choice may take 172.20.0.0/16: the tiers' addresses in the other world.
        "default-address-pools": [
            {"base": "172.31.0.0/16", "size": 24},
            {"base": "192.168.224.0/20", "size": 24},
        ],
        "log-level": "warn",
        **dict(engine.settings),
    }


def _await(engine: EnginePaths, runs: Callable[[], bool]) -> docker.DockerClient:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        client = _at_socket(engine)
        if client:
            return client
        if not runs():
            break
        time.sleep(0.1)
    tail = engine.log.read_text(errors="replace").splitlines()[-3:]
    raise StepFailed(
        "dockerd", "did not come up", " / ".join(tail), f"read {engine.log}; invoke clean"
    )


def _terminate(pid: int, engine: EnginePaths) -> None:
    os.kill(pid, 15)
    _wait_for_end(pid, engine)


def _wait_for_end(pid: int, engine: EnginePaths) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while start_ticks(pid):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # when this very process started it
        if time.monotonic() > deadline:
            raise StepFailed(
                f"dockerd {pid}",
                "does not stop",
                f"still there after {STOP_TIMEOUT_S:g} s",
                f"read {engine.log}",
            )
        time.sleep(0.1)


def _refuse_unless_absent(engine: EnginePaths, error: Exception) -> None:
    """Tell an engine that is not there from one that cannot be asked."""
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        raise Missing(engine.url, "may not be used", "permission denied", "run it as root (sudo)")
    if engine.by_environment and os.environ.get("DOCKER_HOST"):
        raise Missing(
            engine.url,
            "does not answer",
            "DOCKER_HOST names this engine",
            "start it, or unset DOCKER_HOST",
        )
    absent = (
        "No such file",
        "Connection refused",
        "FileNotFound",
        "ConnectionRefused",
        "Connection aborted",
        "timed out",
    )
    if not any(word in text for word in absent):
        raise CannotTell(engine.url, "cannot be asked", text, "look at the engine's own log")
