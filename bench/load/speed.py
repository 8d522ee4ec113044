"""How fast this machine is now: the CPU time of one small piece of work, done all the while.

On shared hardware the same work takes 10 to 20 % more or less CPU time from one second to the next
(other guests' load on the core's other half, caches, frequency). A child on each CPU does a piece
of work some fifty times a second, and counts its CPU time: a measure of that which no arm causes.

Source: clock_gettime(2), CLOCK_THREAD_CPUTIME_ID; sched_setaffinity(2).
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import random
import socket
import struct
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile

from twinstack.linux.session import started

#: Pieces of work and their CPU time in ns, a pair for each CPU.
_COUNTERS = struct.Struct("QQ")
_PAUSE_S = 0.02
_CELLS = 1 << 17  # of 8 bytes: more than a core's own caches have room for


@dataclass(frozen=True, slots=True)
class SpeedProbe:
    """The children that do the work."""

    pids: tuple[int, ...]
    counters: mmap.mmap

    def read(self) -> tuple[int, float]:
        """Give how many pieces were done until now, and their CPU time. Units: µs."""
        pairs = [
            _COUNTERS.unpack_from(self.counters, _COUNTERS.size * place)
            for place in range(len(self.pids))
        ]
        return sum(count for count, _ in pairs), sum(spent_ns for _, spent_ns in pairs) / 1e3


@contextmanager
def probing() -> Iterator[SpeedProbe]:
    """Run the children while the block lasts."""
    cpus = sorted(os.sched_getaffinity(0))
    with TemporaryFile() as file, ExitStack() as stack:
        file.truncate(_COUNTERS.size * len(cpus))
        counters = stack.enter_context(mmap.mmap(file.fileno(), 0))
        children = []
        for place, cpu in enumerate(cpus):
            words = f"setpriv --pdeathsig KILL {sys.executable} -m bench.load.speed"
            own = (str(cpu), str(place), str(file.fileno()))
            child = started([*words.split(), *own], pass_fds=[file.fileno()])
            children.append(stack.enter_context(child))
        yield SpeedProbe(tuple(child.pid for child in children), counters)


def work(counters: mmap.mmap, place: int) -> None:
    """Do pieces of work for ever: what a service does, in small."""
    products = {"products": [{"id": i, "name": f"thing {i}", "price": i * 1.25} for i in range(12)]}
    ours, theirs = socket.socketpair()
    cells = array("Q", random.sample(range(_CELLS), _CELLS))
    count = spent_ns = at = 0
    gc.disable()
    while True:
        start_ns = time.thread_time_ns()
        ours.sendall(json.dumps(products).encode())
        json.loads(theirs.recv(65_536))
        for _ in range(1_000):
            at = cells[at]
        spent_ns += time.thread_time_ns() - start_ns
        count += 1
        _COUNTERS.pack_into(counters, _COUNTERS.size * place, count, spent_ns)
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    _cpu, _place, _descriptor = map(int, sys.argv[1:])
    os.sched_setaffinity(0, {_cpu})
    work(mmap.mmap(_descriptor, 0), _place)
