"""An HTTP server in a process of its own, to be killed or stopped: `python -m … PORT`.

Answers everything with 200, after a moment of work, on kept connections.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

from tests.support.gateway_parts import OK, Upstream
from tests.support.project import ROOT

WORK_S = 0.002


class Replica:
    """A server process on a port that it keeps when it is started again."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-m", "tests.support.replica", str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def serve(port: int) -> None:
    """Serve until the process ends."""
    listener = socket.create_server(("127.0.0.1", port))

    def work(request: bytes, connection: int, place: int) -> bytes:
        time.sleep(WORK_S)
        return OK

    Upstream(work, listener)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
