"""How a process ends: with its parent, and with exit handlers that run in workers too."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.util import Finalize

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this worker when its server dies: the port is free. Source: prctl(2)."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent.pid:  # It died before we asked.
        os.kill(os.getpid(), signal.SIGKILL)


def at_exit(act: Callable[[], None]) -> None:
    """Run `act` when this process ends in an orderly way.

    A worker made by multiprocessing leaves without atexit, but not without its finalizers.
    """
    if multiprocessing.parent_process() is None:
        atexit.register(act)
    else:
        Finalize(None, act, exitpriority=10)
