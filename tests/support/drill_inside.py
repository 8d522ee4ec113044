"""Try drills in namespace worlds on a host of their own: `python -m tests.support.drill_inside`.

`python -m tests.support.drill_inside NAME…` makes the host (root; the software must be built), and
brings up each shape that the drills name, one after the other; `--shape flat` only that one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.support.drill_trial import tried
from tests.support.project import ROOT
from tests.support.sandbox import Sandbox, sandbox
from twinstack import stack
from twinstack.drill.catalogue import DRILLS
from twinstack.drill.choose import find
from twinstack.drill.ground import SpreadWorld

#: Starts a replica, as a hint says it.
START = (
    "run=/run/twinstack/$TWINSTACK_INSTANCE; pid=$(cat $run/supervisord.pid);"
    r" export $(tr '\0' '\n' < /proc/$pid/environ | grep ^PYTHONPATH=);"
    " /usr/bin/python3 -m supervisor.supervisorctl -c $run/supervisord.conf start order-service"
)


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def inside(names: list[str], shape: str, seed: int) -> int:
    """Try drills in the world that is up here; give how many fail."""
    failed = 0
    for name in names:
        began = time.monotonic()
        say(name)
        here = stack.from_environment()
        world = SpreadWorld(here.overlay()) if shape == "overlay" else here.net()
        failures = list(tried(world, find(name), say, seed=seed))
        for failure in failures:
            sys.stdout.write(f"{name}: {failure}\n")
        failed += bool(failures)
        say(f"  {'FAILED' if failures else 'holds'}, {time.monotonic() - began:.1f} s")
    return failed


def on_host(host: Sandbox, names: list[str], shape: str, seed: int = 1) -> list[str]:
    """Try drills in a shape's world, brought up for it; give what fails."""
    overlay = shape == "overlay"
    words = ("overlay.up", "--hosts", "2") if overlay else ("net.up", "--shape", shape)
    host.invoke(*words, timeout_s=240)
    program = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.drill_inside")
    done = host.start(*program, "--inside", f"--shape={shape}", f"--seed={seed}", *names, stdout=-1)
    output, _ = done.communicate(timeout=60 + 60 * len(names))
    host.invoke("overlay.down" if overlay else "net.down")
    lines = output.splitlines()
    return lines if done.returncode in {0, 1} else [*lines, f"exit code {done.returncode}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="drills; none: all that the namespace world has")
    parser.add_argument("--shape", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.names or [drill.name for drill in DRILLS if "net" in drill.worlds]
    if given.inside:
        return min(inside(names, given.shape, given.seed), 1)
    failures: list[str] = []
    with sandbox(f"drill{os.getpid() % 1000}") as host:
        for shape in (given.shape,) if given.shape else ("flat", "tiered"):
            chosen = [name for name in names if shape in (*find(name).shapes, "overlay")]
            if chosen:
                say(f"== {shape}")
                failures += on_host(host, chosen, shape, given.seed)
    for failure in failures:
        sys.stdout.write(f"{failure}\n")
    return min(len(failures), 1)


if __name__ == "__main__":
    sys.exit(main())
