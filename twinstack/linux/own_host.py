"""Work in a host of its own: a network and a mount namespace, all of it ours.

Nothing in it can meet what is on the machine, and all of it ends with its last process.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from typing import TypeVar

from twinstack.errors import StepFailed
from twinstack.linux import child, libc, process
from twinstack.linux.libc import Clone

Result = TypeVar("Result")
#: Our files under /run are the host's own; the base tables of iptables exist beforehand, as on
#: any host that has used it.
_PREPARE = """
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
for table in raw nat filter; do iptables -t $table -S > /dev/null; done
sysctl -qw net.ipv4.ip_forward=0  # a new namespace takes over the machine's
"""


def in_own_host(work: Callable[[], Result]) -> Result:
    """Work in a child that is in a fresh host; Ctrl-C lets it clean up first.

    What it gives after Ctrl-C all the same is the result. Raises: StepFailed; as `work`.
    """

    def enter() -> Result:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        gc.enable()
        libc.unshare(Clone.NEWNET | Clone.NEWNS)
        process.run(["sh", "-euc", _PREPARE])
        return work()

    working = child.start("a host of its own", None, enter)
    result: Result
    try:
        result = working.answer()
    except KeyboardInterrupt as interrupt:
        os.kill(working.pid, signal.SIGTERM)
        try:
            result = working.answer()
        except StepFailed:  # it gives none
            raise interrupt from None
    finally:
        working.end()
    return result
