"""How fast is our network, at any size? The question: options in, an answer with verdicts out."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.engine.store import Outcome
from bench.questions.provisioning import contenders, race, topologies, verdict
from bench.questions.provisioning.contenders import MININET
from bench.questions.provisioning.race import RaceSettings
from bench.questions.provisioning.verdict import AimResult, RaceSample
from twinstack.errors import TwinstackError
from twinstack.linux.own_host import in_own_host
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.statistics.estimate import MINIMUM_BLOCKS

SIZES = (8, 100, 1000)
_MOST_ROUNDS = 1_000


@dataclass(frozen=True, slots=True)
class Race:
    """All that came of a race."""

    settings: RaceSettings
    verdicts: tuple[AimResult, ...]
    samples: tuple[RaceSample, ...]
    left_out: dict[str, str]  # contenders, and why


def ask(
    *,
    sizes: Sequence[int] = SIZES,
    rounds: int = 10,
    slow_rounds: int = 6,
    shell_rounds: int = 3,
    seed: int | None = None,
    progress: Progress,
) -> Outcome:
    """Race ours against the floor, and against shell and Mininet in fewer rounds.

    `slow_rounds` of these two, 0 leaves them out; `shell_rounds` of the shell at the largest size.
    Raises: TwinstackError for options that cannot be; StepFailed when the race fails.
    """
    bounds.within("rounds", rounds, MINIMUM_BLOCKS, _MOST_ROUNDS)
    bounds.within("slow-rounds", slow_rounds, 0, rounds)
    bounds.within("shell-rounds", shell_rounds, 0, rounds)
    for size in sizes:
        topologies.sized(size)  # refuse a size that cannot be before anything is made
    instance = f"bench{os.getpid() % 1_000_000}"
    seed = secrets.randbits(32) if seed is None else seed
    counts = (rounds, slow_rounds, shell_rounds)
    settings = RaceSettings(instance, tuple(sorted(sizes)), *counts, seed)
    left_out: dict[str, str] = {}
    mininet = None
    with tempfile.TemporaryDirectory(prefix="twinstack-scale-") as directory:
        work = Path(directory)
        if slow_rounds:
            try:  # here, since the race's own host cannot reach the network
                mininet = contenders.unpack_mininet(work)
            except TwinstackError as error:
                left_out[MININET] = str(error)
        samples = in_own_host(lambda: race.run(settings, work, mininet, progress))
    results = verdict.judge(samples, verdict.aims(settings.sizes))
    result = Race(settings, results, tuple(samples), left_out)
    text = verdict.table(samples, results, left_out)
    plan = topologies.plan(min(sizes), instance)
    return Outcome("scale", plan, result, text, verdict.code(results))
