"""A measurement in a host of its own: a network and a mount namespace, all of it ours.

Nothing in it can meet what is on the machine, and all of it ends with its last process.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from twinstack.errors import StepFailed, TwinstackError
from twinstack.linux import child, counters, libc, process
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
#: Links, routes, rules, mounts, files under /run, cgroups, a switch.
_STATE = r"""
ip -o link | sed 's/^[0-9]*: //;s/:.*//;s/@.*//'; ip route show table all
iptables-save | grep -v '^#' | sed 's/\[.*\]//'
find /run -not -path '/run/mount*'  # umount(8) keeps notes there
cut -d' ' -f5 /proc/self/mountinfo | grep ^/run | while read -r place; do
    [ -e "$place" ] && echo "mount $place"  # others lie hidden below our /run
done
cat /proc/sys/net/ipv4/ip_forward; ls -d /sys/fs/cgroup/*/twinstack/bo* 2>/dev/null
"""


def measured(measure: Callable[[], Result]) -> Result:
    """Measure in a child that is in a fresh host; Ctrl-C lets it clean up first.

    What it gives after Ctrl-C all the same is the result. Raises: StepFailed; as `measure`.
    """

    def work() -> Result:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        gc.enable()
        libc.unshare(Clone.NEWNET | Clone.NEWNS)
        process.run(["sh", "-euc", _PREPARE])
        return measure()

    measuring = child.start("the measurement", None, work)
    result: Result
    try:
        result = measuring.answer()
    except KeyboardInterrupt as interrupt:
        os.kill(measuring.pid, signal.SIGTERM)
        try:
            result = measuring.answer()
        except StepFailed:  # it gives none
            raise interrupt from None
    finally:
        measuring.end()
    return result


def state() -> frozenset[str]:
    """List what a host keeps."""
    done = subprocess.run(["sh", "-c", _STATE], capture_output=True, text=True, check=False)
    return frozenset(done.stdout.splitlines())


def quiet(line: str) -> None:
    """Take progress and print nothing."""


def no_software(*_: object) -> NoReturn:
    """Stand for the software of a world of which only the network is brought up."""
    raise TwinstackError("the network alone", "needs no software", "this was asked for")


def cpu_s() -> float:
    """Give what this process and its ended children have used of the processors."""
    return time.process_time() + counters.children_cpu_s()
