"""Work in another network namespace: in a forked child, which ends with its parent.

`setns` acts on one thread and is not undone by itself, so only a child enters a namespace, or a
thread that ends there (`socket_in`). A child that waits is killed by the kernel when its parent is
gone, however that ended.
"""

from __future__ import annotations

import errno
import gc
import os
import pickle
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
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
    """A child at work."""

    pid: int
    reading: int  # the pipe that its result comes by
    where: str  # how errors name it

    def answer(self) -> Any:
        """Wait for its result. Raises: what the work raised, or StepFailed."""
        with os.fdopen(os.dup(self.reading), "rb") as pipe:
            try:
                succeeded, value = pickle.load(pipe)
            except EOFError as error:
                cause = "the child that entered it died"
                raise StepFailed(self.where, "cannot be worked in", cause) from error
        if not succeeded:
            raise value
        return value

    def end(self) -> None:
        """Kill it, if it still runs, and collect it."""
        os.close(self.reading)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def unshare_netns() -> None:
    """Move this thread into a new network namespace. Same as: unshare --net. Raises: OSError."""
    libc.unshare(Clone.NEWNET)


def enter(namespace: Path) -> None:
    """Move this thread into another network namespace. Source: setns(2). Raises: OSError.

    For a child that visits several; to work in one, use `inside`.
    """
    with open(namespace, "rb") as file:
        libc.setns(file.fileno(), Clone.NEWNET)


def socket_in(
    namespace: Path | None, create: Callable[[], socket.socket] = socket.socket
) -> socket.socket:
    """Create a socket in a namespace (None: our own): it stays one of it, wherever it is used.

    It keeps that namespace alive until it is closed. By default it is of TCP. A thread that ends
    there enters: this one stays. Raises: OSError; as `create`.
    """
    if namespace is None:
        return create()

    def work() -> socket.socket:
        enter(namespace)
        return create()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(work).result()


def start(
    where: str,
    namespace: Path | None,
    work: Callable[[], object],
    then: Callable[[], object] | None = None,
    mounts: Path | None = None,
) -> Child:
    """Fork a child that enters a namespace and works; `then` goes on until it is ended.

    `mounts` is a mount namespace to enter as well: the work sees its paths.
    Raises: OSError when a namespace cannot be opened.
    """
    kinds = ((namespace, Clone.NEWNET), (mounts, Clone.NEWNS))
    handles = [(os.open(path, os.O_RDONLY | os.O_CLOEXEC), kind) for path, kind in kinds if path]
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
        # Walking the parent's objects would copy their pages. A child that ends soon collects
        # nothing; one that stays, perhaps for hours, collects its own objects.
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
        with suppress(OSError):  # entering a mount namespace loses it
            os.chdir(directory)
        answer = (True, work())
    except TwinstackError as error:
        answer = (False, error)
    except Exception as error:
        answer = (False, StepFailed(where, "cannot be worked in", str(error)))
    with os.fdopen(writing, "wb") as pipe:
        pickle.dump(answer, pipe)


@contextmanager
def staying(
    where: str,
    namespace: Path | None,
    work: Callable[[], object],
    then: Callable[[], object] | None = signal.pause,
    mounts: Path | None = None,
) -> Iterator[tuple[Child, Any]]:
    """Keep a child in a namespace during the block; yields it and the result of its work."""
    child = start(where, namespace, work, then, mounts)
    try:
        yield child, child.answer()
    finally:
        child.end()


@contextmanager
def networks(where: str, count: int) -> Iterator[list[int]]:
    """Give new network namespaces for the block, by the pids of children that stay in them."""
    with ExitStack() as stack:
        new = (staying(where, None, unshare_netns) for _ in range(count))
        yield [stack.enter_context(holder)[0].pid for holder in new]


def inside(
    where: str, namespace: Path | None, work: Callable[[], Result], mounts: Path | None = None
) -> Result:
    """Work in a namespace (None: our own) and give the result. Raises: as the work; StepFailed."""
    with staying(where, namespace, work, None, mounts) as (_, result):
        given: Result = result
    return given


@contextmanager
def visiting(
    namespaces: Mapping[str, Path | None], work: Callable[[str], Result]
) -> Iterator[Callable[[], dict[str, Result]]]:
    """Work in each namespace (None: our own), in one child that enters them in turn.

    Yields what waits for the results, so that other work can go on meanwhile. A namespace that has
    gone by then is left out.
    """

    def tour() -> dict[str, Result]:
        results: dict[str, Result] = {}
        # Our own comes first: nothing has been entered yet.
        for name, path in sorted(namespaces.items(), key=lambda item: item[1] is not None):
            try:
                if path is not None:
                    enter(path)
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.EINVAL, errno.ESRCH}:
                    continue  # gone, or a foreign pin that is not yet a network namespace
                raise
            results[name] = work(name)
        return results

    if not namespaces:
        yield dict
        return
    child = start("namespaces", None, tour)
    try:
        yield child.answer
    finally:
        child.end()


def each(namespaces: Mapping[str, Path | None], work: Callable[[str], Result]) -> dict[str, Result]:
    """Work in each namespace, as `visiting`, and give the results. Raises: as the work."""
    with visiting(namespaces, work) as answer:
        return answer()
