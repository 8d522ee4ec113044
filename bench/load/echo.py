"""A server that answers each request with the start of a file, and the client that asks it.

Run by its text, as `python3 -I -S -c TEXT serve …`, so that it runs in any root that has Python: it
imports nothing of ours. Both stay on one CPU: then the time of a round trip is what it costs. Both
end with their standard input, however their parent ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

KEPT, NEW = "kept", "new"
#: A request says by its first byte whether the server keeps the connection.
_KEEP, _CLOSE = b"k" * 64, b"c" * 64
ANSWER_BYTES = 64
_FILE = os.__file__  # a file that each root with Python has
_LINE = b'GET /answer 200 64 "benchmark"\n'
_PATIENCE_S = 10.0


def open_socket(address: str) -> tuple[socket.socket, str | tuple[str, int]]:
    """Give a socket, and what it binds or connects to: HOST:PORT, or a name of a Unix socket."""
    host, _, port = address.partition(":")
    if not port:
        return socket.socket(socket.AF_UNIX), f"\0{address}"
    made = socket.socket()
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made, (host, int(port))


def serve(address: str, log: str, seccomp: str) -> None:
    """Answer one connection after the other; with a log, write a line for each request."""
    listener, where = open_socket(address)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(where)
    listener.listen(64)
    if seccomp:
        _confine(bytes.fromhex(seccomp))
    threading.Thread(target=_end_with_input, daemon=True).start()
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            while request := connection.recv(ANSWER_BYTES):
                file = os.open(_FILE, os.O_RDONLY)
                answer = os.read(file, ANSWER_BYTES)
                os.close(file)
                connection.send(answer)
                if log:
                    os.write(1, _LINE)
                if request[0] != _KEEP[0]:
                    break


def drive(address: str) -> None:
    """Take "kept|new SECONDS COUNT" lines; load until either has passed, and print what was done.

    A line is answered by the number of requests and the seconds that they took.
    """
    for line in sys.stdin:
        kind, seconds, count = line.split()
        attempts = kept(address) if kind == KEPT else new(address)
        next(attempts)  # connects: waits for the server
        begun, done = time.monotonic(), 0
        end = begun + float(seconds)
        while done < int(count) and time.monotonic() < end:
            next(attempts)
            done += 1
        print(done, time.monotonic() - begun, flush=True)  # noqa: T201 this is a program
        attempts.close()  # type: ignore[attr-defined]


def kept(address: str) -> Iterator[None]:
    """Connect, then make a round trip each time."""
    with _connected(address) as connection:
        while True:
            yield
            connection.send(_KEEP)
            if len(connection.recv(ANSWER_BYTES)) != ANSWER_BYTES:
                raise ConnectionError("a short answer")


def new(address: str) -> Iterator[None]:
    """Each time open a connection, make a round trip, and wait until the server has closed it."""
    _connected(address).close()
    while True:
        yield
        connection, where = open_socket(address)
        connection.connect(where)
        connection.send(_CLOSE)
        if len(connection.recv(ANSWER_BYTES)) != ANSWER_BYTES or connection.recv(1):
            raise ConnectionError("another answer")
        connection.close()


def _connected(address: str) -> socket.socket:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        made, where = open_socket(address)
        try:
            made.settimeout(1)
            made.connect(where)
            # A userland proxy accepts before there is a server behind it.
            made.send(_KEEP)
            if len(made.recv(ANSWER_BYTES)) == ANSWER_BYTES:
                made.settimeout(None)
                return made
        except OSError:
            if time.monotonic() > deadline:
                raise
        made.close()
        time.sleep(0.02)


def drain(form: str) -> None:
    """Read lines and forget them, or write each in JSON to standard output, as an engine does."""
    while block := os.read(0, 65536):
        if form:
            lines = block.decode().splitlines()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            texts = [
                f'{{"log":"{line.translate({34: chr(92) + chr(34)})}\\n","time":"{stamp}"}}\n'
                for line in lines
            ]
            os.write(1, "".join(texts).encode())


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
    with contextlib.suppress(OSError):  # a sandbox numbers its own
        os.sched_setaffinity(0, {int(cpu)})
    {"serve": serve, "drive": drive, "drain": drain}[role](*arguments)
