"""Stop the engine that we started, exactly that one, and restore the host.

It keeps running, and its data stay, while it holds anything that is not ours (`engine_contents`)
or that cannot be checked. Another engine at the socket keeps what all engines of a host share.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import docker

from twinstack.compose import engine_contents, engine_leftovers
from twinstack.compose.engine import SYSCTL_HOLDER, at_socket, start
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.engine_record import EngineRecord, read_record
from twinstack.errors import CannotTell, StepFailed
from twinstack.linux.procfs import start_ticks
from twinstack.reconcile import Progress
from twinstack.software.building import locked, remove_tree
from twinstack.state import host_sysctls

STOP_TIMEOUT_S = 60.0
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def stop_engine(engine: EnginePaths, progress: Progress) -> tuple[str, ...]:
    """Stop the engine that we started, if we did, and restore the host; name what was removed.

    Works after a crash of the engine too. Raises: CannotTell when it is unknown what the data
    hold: they stay.
    """
    if read_record(engine) is None:
        return _without_record(engine)
    with locked(engine.state, progress):
        record = read_record(engine)
        if record is None:  # another command stopped it meanwhile
            return ()
        client = at_socket(engine)
        with contextlib.closing(client) if client else contextlib.nullcontext():
            if client is None:
                removed, unknown = _after_silence(engine, record)
            elif not _lives_at(client, engine):
                removed, unknown = _behind_another(engine, record, progress)
            elif foreign := engine_contents.foreign_objects(client):
                progress(f"engine: left running: it still holds {', '.join(foreign)}")
                return ()
            else:
                removed, unknown = _end(engine, record, signal.SIGTERM, "stopped"), ""
                removed += _remove_and_restore(engine, record, data=True)
        if unknown:
            for line in removed:
                progress(line)
            raise _kept(engine, unknown)
    shutil.rmtree(engine.state, ignore_errors=True)
    return tuple(removed)


def discard(engine: EnginePaths) -> list[str]:
    """Stop an engine of ours with all that it holds, and remove what was its alone; name it.

    For one whose host, a network namespace, goes with it.
    """
    record = read_record(engine)
    if record is None:
        return []
    removed = _end(engine, record, signal.SIGTERM, "stopped")
    removed += engine_leftovers.remove_own(engine, record.token)
    engine_leftovers.restore_files(record.before)
    shutil.rmtree(engine.state, ignore_errors=True)
    return removed


def restart_idle(engine: EnginePaths, progress: Progress) -> bool:
    """Restart the engine that we started, if it holds no container; give whether it was.

    A stopped one counts too: with the policy `always` an engine that starts would start it.
    Raises: StepFailed when it does not stop, or does not come up again.
    """
    record = read_record(engine)
    client = at_socket(engine)
    if client is None:
        return False
    with contextlib.closing(client):
        ours = record is not None and record.alive and _lives_at(client, engine)
        if record is None or not ours or client.containers.list(all=True):
            return False
    with locked(engine.state, progress):
        _end(engine, record, signal.SIGTERM, "stopped")
        start(engine).close()
    return True


def _without_record(engine: EnginePaths) -> tuple[str, ...]:
    """Handle one never started, or one before the last boot that `revive` could not start."""
    client = at_socket(engine)
    if not engine_contents.is_bare(engine.data_root):
        cause = f"dockerd does not run on it (log: {engine.log}), so its contents are unknown"
        if client:
            cause = f"an engine of which nothing is recorded answers at {engine.url}"
        raise _kept(engine, cause)
    if not engine.prefix:  # of a start that was cut short before anything was recorded
        host_sysctls.release(SYSCTL_HOLDER)
    gone = client is None and remove_tree(engine.data_root)
    return (f"engine: {engine.data_root}",) if gone else ()


def _after_silence(engine: EnginePaths, record: EngineRecord) -> tuple[list[str], str]:
    """Clean up after our engine when none answers; say what was removed, and why data stay."""
    if record.alive:
        raise CannotTell(
            f"dockerd {record.pid}",
            "does not answer",
            f"it is ours, but not at {engine.url}",
            f"read {engine.log}; end it, then run: invoke clean",
        )
    bare = engine_contents.is_bare(engine.data_root)
    removed = _remove_and_restore(engine, record, data=bare)
    return removed, "" if bare else f"dockerd does not start to look into it (see {engine.log})"


def _behind_another(
    engine: EnginePaths, record: EngineRecord, progress: Progress
) -> tuple[list[str], str]:
    """Remove what was our engine's alone, while a foreign one answers; as `_after_silence`."""
    progress(
        f"engine: another's answers at {engine.url}: "
        "the socket, bridges, rules and sysctls are left as they are"
    )
    foreign = engine_contents.foreign_objects_at(engine.data_root)
    # SIGTERM would have it unlink the socket, which is the other engine's by now.
    removed = _end(engine, record, signal.SIGKILL, "ended")
    removed += engine_leftovers.remove_own(engine, record.token, data=not foreign)
    if not engine.prefix:  # release it, but keep what the other engine needs
        forwarding = _FORWARDING.read_text()
        host_sysctls.release(SYSCTL_HOLDER)
        _FORWARDING.write_text(forwarding)
    return removed, f"it holds {', '.join(foreign)}" if foreign else ""


def _remove_and_restore(engine: EnginePaths, record: EngineRecord, *, data: bool) -> list[str]:
    removed = engine_leftovers.remove(record.before, engine, record.token, data=data)
    return removed + ([] if engine.prefix else list(host_sysctls.release(SYSCTL_HOLDER)))


def _kept(engine: EnginePaths, cause: str) -> CannotTell:
    return CannotTell(
        str(engine.data_root),
        "is not removed",
        cause,
        "save what you need of it, then remove it by hand; or free the socket and dockerd, "
        "and run: invoke clean",
    )


def _lives_at(client: docker.DockerClient, engine: EnginePaths) -> bool:
    """Say whether the engine that answers is the one with our data."""
    data_root: str = client.info()["DockerRootDir"]
    return os.path.realpath(data_root) == os.path.realpath(engine.data_root)


def _end(engine: EnginePaths, record: EngineRecord, number: signal.Signals, how: str) -> list[str]:
    """End dockerd, if it runs, wait until it is gone, and say how it went. Raises: StepFailed."""
    if not record.alive:
        return []
    pid = record.pid
    os.kill(pid, number)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while start_ticks(pid):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # when this very process started it
        if time.monotonic() > deadline:
            cause = f"still there after {STOP_TIMEOUT_S:g} s"
            raise StepFailed(f"dockerd {pid}", "does not stop", cause, f"read {engine.log}")
        time.sleep(0.1)
    return [f"engine: dockerd {pid} {how}"]
