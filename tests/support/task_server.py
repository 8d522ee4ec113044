"""Tasks of Invoke, each in a child of one process that has loaded them all: a fifth of a start.

A test run starts the process once. A child enters the namespaces of the host that it is asked to
work on, has an environment and pipes of its own, and ends as the program `invoke` does. What is
about the start itself, a signal or a terminal runs the program.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from tests.support.project import ROOT

#: A request is one packet. Units: bytes.
_MOST = 200_000
#: What tasks import only when they run.
_LOADED_LATER = ("bench.engine", "bench.questions", "front", "twinstack")
#: Of a network and a mount namespace. Source: setns(2).
_KINDS = {"net": 0x40000000, "mnt": 0x00020000}


def run(
    host: int, environment: Mapping[str, str], words: Sequence[str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a task in the namespaces of the process `host`; 0: in those of this one.

    Raises: subprocess.TimeoutExpired; then, and after Ctrl-C, every task that runs has been killed.
    """
    pipes = [os.pipe() for _ in range(3)]
    texts = ["", "", ""]

    def read(number: int) -> None:
        with open(pipes[number][0], encoding="utf-8") as pipe:
            texts[number] = pipe.read()

    server, channel = _server()
    request = {"host": host, "environment": dict(environment), "words": list(words)}
    socket.send_fds(channel, [json.dumps(request).encode()], [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    readers = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    for reader in readers:
        reader.start()
    try:
        for reader in readers:
            reader.join(timeout_s)
        if any(reader.is_alive() for reader in readers):
            raise subprocess.TimeoutExpired(["invoke", *words], timeout_s)
    except BaseException:  # Ctrl-C does not reach the tasks either: they have another session
        _server.cache_clear()
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        raise
    output, errors, code = texts
    assert code, f"{words}: the task's process is gone\n{output}{errors}"
    return subprocess.CompletedProcess(["invoke", *words], int(code), output, errors)


@functools.cache
def _server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the process; it ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.task_server", str(theirs.fileno())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return process, ours


def _load() -> None:
    """Import every task, and what it imports when it runs."""
    import_module("tasks")
    for name in _LOADED_LATER:
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    gc.freeze()  # else a child's first collection copies every page


def _serve(channel: socket.socket) -> None:
    """Answer requests until the test run ends: a child waits for each task."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, _MOST, 3, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not os.fork():
            channel.close()
            _wait_for(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _wait_for(request: dict[str, Any], output: int, errors: int, code: int) -> None:
    """Run a task in a child, write its exit code, and end."""
    task = os.fork()
    if not task:
        os.close(code)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.close(output)
        os.close(errors)
        os._exit(_call(request))
    os.close(output)
    os.close(errors)
    os.write(code, str(os.waitstatus_to_exitcode(os.waitpid(task, 0)[1])).encode())
    os._exit(0)


def _call(request: dict[str, Any]) -> int:
    """Be the program; give its exit code."""
    from invoke.main import program

    from front import invocation

    code: object = 0
    try:
        if request["host"]:
            _enter(request["host"])
        os.chdir(ROOT)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.environ["PATH"] = invocation.full_path(os.environ["PATH"])
        encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
        sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, encoding, "backslashreplace", closefd=False)
        sys.argv = ["invoke", *request["words"]]
        program.run(sys.argv)
    except SystemExit as left:
        code = left.code
        if not isinstance(code, int | None):
            sys.stderr.write(f"{code}\n")
    except BaseException:  # a bug: shown as the interpreter does
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter ends
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def _enter(pid: int) -> None:
    """Enter the namespaces of a process, which see the same /proc."""
    from twinstack.linux import libc

    handles = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in _KINDS]
    for handle, kind in zip(handles, _KINDS.values(), strict=True):
        libc.call("setns", handle, kind)
        os.close(handle)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        os.set_inheritable(given.fileno(), False)
        _load()
        _serve(given)
