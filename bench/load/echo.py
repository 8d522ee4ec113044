"""A server that answers each request with the start of a file, and the client that asks it.

Run by its text, as `python3 -I -S -c TEXT CPU ROLE …`, so that it runs in any root that has Python:
it imports nothing of ours. Both stay on one CPU: then a round trip takes what it costs. Both end
with their standard input, however their parent ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

KEPT, NEW = "kept", "new"
BATCH = 10
#: A request says by its first byte whether the server keeps the connection.
_KEEP, _CLOSE = b"k" * 64, b"c" * 64
_FILE = os.__file__  # every root with Python has it
_LINE = b'GET /answer 200 64 "benchmark"\n'
_PATIENCE_S = 10.0


def connect(address: str, *, listen: bool = False) -> socket.socket:
    """Connect or listen at HOST:PORT, or at the abstract name of a Unix socket."""
    host, _, port = address.partition(":")
    made = socket.socket(socket.AF_INET if port else socket.AF_UNIX)
    if port:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    (made.bind if listen else made.connect)((host, int(port)) if port else f"\0{host}")
    return made


def serve(address: str, log: str, seccomp: str) -> None:
    """Answer one connection after the other; with a log, write a line for each request."""
    listener = connect(address, listen=True)
    listener.listen(64)
    if seccomp:
        _confine(bytes.fromhex(seccomp))
    threading.Thread(target=_end_with_input, daemon=True).start()
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            while request := connection.recv(64):
                file = os.open(_FILE, os.O_RDONLY)
                connection.send(os.read(file, 64))
                os.close(file)
                if log:
                    os.write(1, _LINE)
                if request != _KEEP:
                    break


def drive(address: str) -> None:
    """For each line "KIND SECONDS COUNT" send requests until either has passed, and say how many.

    The answer is their number, the seconds that they took, and the time of one in the median batch:
    it tells what a request takes while no other program has the CPU.
    """
    for line in sys.stdin:
        kind, seconds, count = line.split()
        with _patiently(address) as connection:
            if kind == NEW:
                connection.close()  # the server serves one at a time
            times: list[float] = []
            most, begun = int(count), time.monotonic()
            now, end = begun, begun + float(seconds)
            while now < end and len(times) * BATCH < most:
                for _ in range(BATCH):
                    if kind == KEPT:
                        _ask(connection, _KEEP)
                    else:
                        with connect(address) as fresh:
                            _ask(fresh, _CLOSE)
                            fresh.recv(1)  # the server closes first: no port here stays taken
                times.append(time.monotonic() - now)
                now += times[-1]
            median_s = sorted(times)[len(times) // 2] / BATCH
            print(len(times) * BATCH, now - begun, median_s, flush=True)  # noqa: T201 a program


def _ask(connection: socket.socket, request: bytes) -> None:
    connection.send(request)
    if len(connection.recv(64)) != 64:
        raise ConnectionError("a short answer")


def _patiently(address: str) -> socket.socket:
    """Connect when there is a server; a proxy accepts before there is one behind it."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            made = connect(address)
            _ask(made, _KEEP)
            return made
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def drain(form: str) -> None:
    """Read lines and forget them, or write each in JSON to standard output, as an engine does."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    while block := os.read(0, 65536):
        if form:
            texts = (line.replace('"', '\\"') for line in block.decode().splitlines())
            lines = (f'{{"log":"{text}\\n","time":"{stamp}"}}\n' for text in texts)
            os.write(1, "".join(lines).encode())


def _end_with_input() -> None:
    while os.read(0, 64):
        pass
    os._exit(0)


def _confine(program: bytes) -> None:
    """Load a seccomp filter. Source: prctl(2), struct sock_fprog."""
    import ctypes

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    prctl, given = ctypes.CDLL(None, use_errno=True).prctl, Program(len(program) // 8, program)
    set_no_new_privs, set_seccomp, mode_filter = 38, 22, 2
    prctl(set_no_new_privs, 1, 0, 0, 0)
    if prctl(set_seccomp, mode_filter, ctypes.byref(given), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    cpu, role, *arguments = sys.argv[1:]
    with contextlib.suppress(OSError):  # a sandbox counts its own CPUs
        os.sched_setaffinity(0, {int(cpu)})
    roles: dict[str, Callable[..., None]] = {"serve": serve, "drive": drive, "drain": drain}
    roles[role](*arguments)
