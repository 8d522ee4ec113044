"""Do something in another network namespace: in a forked child, which ends with its parent.

`setns` is for one thread and for good, so nobody enters a namespace but a child. A child that
waits is killed by the kernel when its parent is gone, however that ended.
"""

from __future__ import annotations

import errno
import gc
import os
import pickle
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from twinstack.errors import StepFailed, TwinstackError
from twinstack.linux import libc
from twinstack.linux.libc import Clone

#: The namespace that we are in.
OWN = Path("/proc/self/ns/net")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Child:
    """A child at work: `answer` waits for what it found; `end` kills it where it waits itself."""

    pid: int
    reading: int
    where: str

    def answer(self) -> Any:
        """Give what the child found. Raises: what it raised, or StepFailed."""
        with os.fdopen(os.dup(self.reading), "rb") as pipe:
            try:
                fine, value = pickle.load(pipe)
            except EOFError as error:
                raise StepFailed(
                    self.where, "cannot be worked in", "the child that entered it died"
                ) from error
        if not fine:
            raise value
        return value

    def end(self) -> None:
        """Kill it, if it is still there, and collect it."""
        os.close(self.reading)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def fresh() -> None:
    """Leave for a network namespace of one's own. Same as: unshare --net. Raises: OSError."""
    libc.unshare(Clone.NEWNET)


def stream_in(namespace: Path) -> socket.socket:
    """Make a TCP socket that belongs to another namespace, and come back to our own.

    For a child with one thread: on the way the thread is in the other namespace. The socket keeps
    that namespace from going until it is closed. Raises: OSError.
    """
    with open(OWN, "rb") as own, open(namespace, "rb") as other:
        libc.setns(other.fileno(), Clone.NEWNET)
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            libc.setns(own.fileno(), Clone.NEWNET)


def enter(namespace: Path) -> None:
    """Move this thread into another network namespace. Source: setns(2). Raises: OSError.

    For a child that goes through several; whoever works in one is better off with `inside`.
    """
    handle = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc.setns(handle, Clone.NEWNET)
    finally:
        os.close(handle)


def start(
    where: str,
    namespace: Path | None,
    work: Callable[[], object],
    then: Callable[[], object] | None = None,
    mounts: Path | None = None,
) -> Child:
    """Fork a child that enters a namespace and works; `then` goes on until it is ended.

    `mounts` is a mount namespace to enter as well: its paths are those that the work sees.

    Raises: OSError when the namespace cannot be opened.
    """
    kinds = ((namespace, Clone.NEWNET), (mounts, Clone.NEWNS))
    handles = [(os.open(one, os.O_RDONLY | os.O_CLOEXEC), kind) for one, kind in kinds if one]
    reading, writing = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writing)
        for handle, _ in handles:
            os.close(handle)
        return Child(pid, reading, where)
    try:
        libc.die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
        # Walking the parent's objects would copy their pages. Who ends soon collects nothing; who
        # stays, perhaps for hours, collects what is its own.
        if then is None:
            gc.disable()
        else:
            gc.freeze()
            gc.enable()
        if os.getppid() == parent:
            os.close(reading)
            _work(writing, where, handles, work)
            if then is not None:
                then()
    finally:
        os._exit(0)  # the parent's exit handlers are not this child's to run


def _work(
    writing: int, where: str, handles: list[tuple[int, Clone]], work: Callable[[], object]
) -> None:
    answer: tuple[bool, object]
    try:
        directory = Path.cwd()
        for handle, kind in handles:
            libc.setns(handle, kind)
            os.close(handle)
        with suppress(OSError):  # entering mounts loses it
            os.chdir(directory)
        answer = (True, work())
    except TwinstackError as error:
        answer = (False, error)
    except Exception as error:
        answer = (False, StepFailed(where, "cannot be worked in", str(error)))
    with os.fdopen(writing, "wb") as pipe:
        pickle.dump(answer, pipe)


def inside(
    where: str, namespace: Path | None, work: Callable[[], Result], mounts: Path | None = None
) -> Result:
    """Work in a namespace and give what came of it. Raises: what the work raises; StepFailed."""
    child = start(where, namespace, work, mounts=mounts)
    try:
        found: Result = child.answer()
    finally:
        child.end()
    return found


def each(places: Mapping[str, Path | None], look: Callable[[str], Result]) -> dict[str, Result]:
    """Look at many namespaces (None: our own), in one child that enters them in turn.

    One that is gone meanwhile is left out. Raises: what `look` raises; StepFailed.
    """
    if not places:
        return {}

    def tour() -> dict[str, Result]:
        found: dict[str, Result] = {}
        for name, place in sorted(places.items(), key=lambda one: one[1] is not None):
            try:
                if place is not None:  # our own come first: nobody has entered anything yet
                    enter(place)
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.EINVAL, errno.ESRCH}:
                    continue
                raise
            found[name] = look(name)
        return found

    return inside("namespaces", None, tour)


@contextmanager
def staying(
    where: str,
    namespace: Path | None,
    work: Callable[[], object],
    then: Callable[[], object] = signal.pause,
) -> Iterator[tuple[Child, Any]]:
    """Keep a child in a namespace while the block lasts; gives it and what it found first."""
    child = start(where, namespace, work, then)
    try:
        yield child, child.answer()
    finally:
        child.end()
