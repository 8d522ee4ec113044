"""A measurement in a host of its own: a network and a mount namespace, all of it ours.

Nothing in it can meet what is on the machine, and all of it ends with its last process.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import Any, NoReturn

from twinstack.errors import StepFailed, TwinstackError
from twinstack.reconcile import Progress
from twinstack.stack import REPOSITORY

#: Our files under /run are the host's own; the base tables of iptables exist beforehand, as on
#: any host that has used it.
_PREPARE = """
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
for table in raw nat filter; do iptables -t $table -S > /dev/null; done
sysctl -qw net.ipv4.ip_forward=0  # a new namespace takes over the machine's
exec "$@"
"""


def measured(module: str, *arguments: str, progress: Progress) -> Any:
    """Run a module in a fresh host, its progress passed on; gives the JSON that it prints.

    Raises: StepFailed with its last line.
    """
    enter = "unshare --net --mount --propagation private -- sh -euc"
    with subprocess.Popen(
        [*enter.split(), _PREPARE, "sh", sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={
            name: value for name, value in os.environ.items() if not name.startswith("TWINSTACK_")
        },
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        last = ""
        for line in running.stderr:
            last = line.strip()
            progress(last)
        printed = running.stdout.read()
    if running.returncode != 0:
        raise StepFailed("the measurement", f"exited {running.returncode}", last)
    return json.loads(printed)


def state() -> frozenset[str]:
    """List what a host keeps: links, routes, rules, mounts, files under /run, cgroups, a switch."""
    script = (
        "ip -o link | sed 's/^[0-9]*: //;s/:.*//;s/@.*//'; ip route show table all;"
        " iptables-save | grep -v '^#' | sed 's/\\[.*\\]//';"
        " find /run -not -path '/run/mount*';"  # umount(8) keeps notes there
        " cut -d' ' -f5 /proc/self/mountinfo | grep ^/run | while read -r place; do"
        ' [ -e "$place" ] && echo "mount $place"; done;'  # others lie hidden below our /run
        " cat /proc/sys/net/ipv4/ip_forward; ls -d /sys/fs/cgroup/*/twinstack/bo* 2>/dev/null"
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    return frozenset(done.stdout.splitlines())


def say(line: str) -> None:
    """Print progress for the process that runs this measurement."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def quiet(line: str) -> None:
    """Take progress and print nothing."""


def no_software(*_: object) -> NoReturn:
    """Stand for the software of a world of which only the network is brought up."""
    raise TwinstackError("the network alone", "needs no software", "this was asked for")


def cpu_s() -> float:
    """Give what this process and its ended children have used of the processors."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
