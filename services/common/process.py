"""Die with the server that forked us, so that a killed server leaves no worker on its port."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """In a worker process: have the kernel kill us when our parent dies. Source: prctl(2).

    Does nothing in a process that is nobody's worker.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent.pid:  # It died before we asked.
        os.kill(os.getpid(), signal.SIGKILL)
