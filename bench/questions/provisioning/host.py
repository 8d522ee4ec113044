"""A measurement in a host of its own: a network and a mount namespace, all of it ours.

Nothing in it can meet what is on the machine, and all of it ends with its last process.
"""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import NoReturn, ParamSpec, TypeVar

from twinstack.errors import StepFailed, TwinstackError
from twinstack.reconcile import Progress
from twinstack.stack import REPOSITORY

P = ParamSpec("P")
T = TypeVar("T")
#: Our files under /run are the host's own; the base tables of iptables exist beforehand, as on
#: any host that has used it.
_PREPARE = """
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
for table in raw nat filter; do iptables -t $table -S > /dev/null; done
sysctl -qw net.ipv4.ip_forward=0  # a new namespace takes over the machine's
exec "$@"
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


def measured(progress: Progress, measure: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a fresh host and give its result; what it `say`s is passed on.

    Raises: StepFailed with the last line of it.
    """
    enter = "unshare --net --mount --propagation private -- sh -euc"
    env = {key: value for key, value in os.environ.items() if not key.startswith("TWINSTACK_")}
    with TemporaryFile() as call, TemporaryFile() as result:
        pickle.dump((measure, args, kwargs), call)
        call.seek(0)
        with subprocess.Popen(
            [*enter.split(), _PREPARE, "sh", sys.executable, "-m", __name__],
            cwd=REPOSITORY,
            env=env,
            text=True,
            stdin=call,
            stdout=result,
            stderr=subprocess.PIPE,
        ) as running:
            assert running.stderr is not None
            last = ""
            for line in running.stderr:
                last = line.strip()
                progress(last)
        if running.returncode != 0:
            raise StepFailed("the measurement", f"exited {running.returncode}", last)
        result.seek(0)
        measurement: T = pickle.load(result)
        return measurement


def state() -> frozenset[str]:
    """List what a host keeps."""
    done = subprocess.run(["sh", "-c", _STATE], capture_output=True, text=True, check=False)
    return frozenset(done.stdout.splitlines())


def say(line: str) -> None:
    """Print progress for the process that runs this measurement."""
    sys.stderr.write(f"{line}\n")


def quiet(line: str) -> None:
    """Take progress and print nothing."""


def no_software(*_: object) -> NoReturn:
    """Stand for the software of a world of which only the network is brought up."""
    raise TwinstackError("the network alone", "needs no software", "this was asked for")


def cpu_s() -> float:
    """Give what this process and its ended children have used of the processors."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    """Make the call that standard input holds, and write its result to standard output."""
    measure, args, kwargs = pickle.load(sys.stdin.buffer)
    try:
        pickle.dump(measure(*args, **kwargs), sys.stdout.buffer)
    except TwinstackError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
