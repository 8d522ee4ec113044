"""The ways to bring a plan's network up that are compared. All act on the host of their caller.

Source: apt-get(8) download, dpkg-deb(1).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from twinstack.errors import Missing, StepFailed
from twinstack.linux import process
from twinstack.linux.session import started
from twinstack.stack import REPOSITORY

OURS, FLOOR, SHELL, MININET = "twinstack", "floor", "shell", "mininet"
_TIMEOUT_S = 900.0
#: LinuxBridge calls brctl; a Mininet node brings its links up with ifconfig.
_PACKAGES = ("mininet", "net-tools", "bridge-utils")

#: Milliseconds by what they were spent on; "total" is what counts, "cpu" the CPU time of it,
#: "process" what starting and ending the program took beside it.
Figures = dict[str, float]
#: Goes up and down once, by a number of namespaces; gives the figures of each. Raises: StepFailed.
Contender = Callable[[int], Generator[Figures, None, None]]


def twinstack(instance: str) -> Contender:
    """Give twinstack itself, as a user starts it: a process each for up and for down."""
    module = (sys.executable, "-m", "bench.questions.provisioning.ours")
    return _two_commands(lambda what, size: (*module, what, str(size), instance))


def floor(work: Path) -> Contender:
    """Compile the smallest program that does the same to the kernel.

    Raises: Missing without a compiler; StepFailed.
    """
    program = compile_floor(work)
    return _two_commands(
        lambda what, size: (program, what, f"{work}/{size}/spec", f"{work}/{size}/{what}.rules")
    )


def compile_floor(into: Path) -> str:
    """Compile the floor; gives the program. Raises: as `floor`."""
    source = Path(__file__).with_name("floor.c")
    try:
        process.run(f"cc -O2 -Wall -Werror -o {into}/floor {source}".split())
    except Missing as error:
        cause, remedy = "there is no C compiler", 'install one ("apt-get install gcc libc6-dev")'
        raise Missing(source.name, "cannot be compiled", cause, remedy) from error
    return f"{into}/floor"


def by_shell(work: Path) -> Contender:
    """Give what `net.plan --script` prints, and its inverse: a process for each command."""
    return _two_commands(lambda what, size: ("/bin/sh", f"{work}/{size}/{what}.sh"), timed=True)


def _two_commands(words: Callable[[str, int], Sequence[str]], *, timed: bool = False) -> Contender:
    """Give a contender of two programs, which print their own times, or are `timed` by us."""

    def run(size: int) -> Generator[Figures, None, None]:
        for what in ("up", "down"):
            start_s = time.monotonic()
            done = process.run(words(what, size), timeout_s=_TIMEOUT_S, directory=REPOSITORY)
            wall_ms = (time.monotonic() - start_s) * 1e3
            if timed:
                yield {"total": wall_ms}
            else:
                figures = json.loads(done.stdout)
                yield {**figures, "process": wall_ms - figures["total"]}

    return run


def by_mininet(work: Path, root: Path) -> Contender:
    """Give Mininet, unpacked into `root`: one program, which stays up until it reads a line."""
    environment = {
        "PATH": f"{root}/usr/bin:{root}/usr/sbin:{root}/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": f"{root}/usr/lib/python3/dist-packages",
    }
    script, pipe = REPOSITORY / "bench" / "reference" / "mininet_bridge.py", subprocess.PIPE

    def run(size: int) -> Generator[Figures, None, None]:
        words = ("/usr/bin/python3", str(script), f"{work}/{size}/hosts")
        with started(words, stdin=pipe, stdout=pipe, env=environment) as up:
            assert up.stdin is not None
            yield _printed(up)
            up.stdin.write("down\n")
            up.stdin.flush()
            yield _printed(up)

    return run


def _printed(running: subprocess.Popen[str]) -> Figures:
    assert running.stdout is not None
    line = running.stdout.readline()
    if not line:
        raise StepFailed(MININET, "printed nothing", f"it exited {running.poll()}")
    return dict(json.loads(line))


def unpack_mininet(into: Path) -> Path:
    """Download Mininet and what a Linux bridge needs, and unpack it; gives the root of the tree.

    Installing it on the host would bring commands and cgroup tools along. Raises: Missing.
    """
    downloads, root = into / "packages", into / "mininet"
    downloads.mkdir()
    try:
        # Root's directory is closed to the user that apt would download as.
        words = ["apt-get", "-o", "APT::Sandbox::User=root", "download", *_PACKAGES]
        process.run(words, directory=downloads, timeout_s=120)
        for package in sorted(downloads.glob("*.deb")):
            process.run(["dpkg-deb", "--extract", str(package), str(root)])
    except StepFailed as error:
        cause = error.cause.partition("\n")[0]
        remedy = 'run "apt-get update", or leave it out'
        raise Missing("Mininet", "cannot be compared with", cause, remedy) from error
    return root
