"""Try drills in Docker worlds on an engine of their own: `python -m tests.support.drill_docker`.

`python -m tests.support.drill_docker NAME… [--shape flat]`: the engine runs in a network namespace
that plays the host; its images are built first, and everything is removed at the end.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.support.docker_steps import ENGINE, INSTANCE, NAME, up, world
from tests.support.drill_inside import say
from tests.support.drill_trial import tried
from tests.support.own_engine import (
    end_engine,
    make_namespace,
    print_nothing,
    remove_namespace,
    remove_what_dead_runs_left,
)
from twinstack.compose.teardown import clean
from twinstack.compose.world import DockerWorld
from twinstack.drill.catalogue import DRILLS
from twinstack.drill.choose import find
from twinstack.drill.drill import Drill


def whole(shape: str) -> DockerWorld:
    """Give the whole stack in a shape: small ones lack what some drills need."""
    return world(shape, lambda _written: None)


def each_tried(docker: DockerWorld, drills: list[Drill], seed: int = 1) -> list[str]:
    """Try drills in a world that is up; give what fails."""
    failures = []
    for drill in drills:
        began = time.monotonic()
        say(drill.name)
        failed = list(tried(docker, drill, say, seed=seed))
        failures += [f"{drill.name}: {failure}" for failure in failed]
        say(f"  {'FAILED' if failed else 'holds'}, {time.monotonic() - began:.1f} s")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="drills; none: all that the Docker world has")
    parser.add_argument("--shape", default="")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    drills = [find(name) for name in given.names]
    drills = drills or [drill for drill in DRILLS if "docker" in drill.worlds]
    failures: list[str] = []
    remove_what_dead_runs_left()
    make_namespace(NAME)
    try:
        began = time.monotonic()
        for shape in (given.shape,) if given.shape else ("flat", "tiered"):
            if chosen := [drill for drill in drills if shape in drill.shapes]:
                say(f"== {shape}")
                docker = whole(shape)
                up(docker)
                say(f"  up after {time.monotonic() - began:.0f} s")
                failures += each_tried(docker, chosen, given.seed)
        clean(INSTANCE, progress=print_nothing, engine=ENGINE)
    finally:
        end_engine(ENGINE)
        remove_namespace(NAME)
    for failure in failures:
        sys.stdout.write(f"{failure}\n")
    return min(len(failures), 1)


if __name__ == "__main__":
    sys.exit(main())
