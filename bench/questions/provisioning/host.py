"""What measurements of a host's network share: what it keeps, its CPU time, and no software."""

from __future__ import annotations

import subprocess
import time
from typing import NoReturn

from twinstack.errors import TwinstackError
from twinstack.linux import counters

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
