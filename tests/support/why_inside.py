"""Plant causes in the namespace world that is up here, and print what `why` found, as JSON."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

from tests.support import why_cases
from tests.support.why_ground import Ground
from twinstack import stack


def shell(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)


def main(count: int) -> None:
    here = stack.from_environment()
    ground = Ground(here.net(), shell)
    tiered = here.net_shape() == "tiered"
    cases = itertools.chain(
        why_cases.planted_tiered(ground) if tiered else why_cases.planted_flat(ground),
        why_cases.planted_published(ground),
        why_cases.planted(ground),
    )
    every = list(cases)
    step = max(1, len(every) // count) if count else 1
    sys.stdout.write(json.dumps(list(why_cases.tried(ground, iter(every[::step])))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
