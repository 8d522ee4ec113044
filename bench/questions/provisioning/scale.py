"""How fast is our network, at any size? The question: options in, an answer with verdicts out."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.engine.estimate import MINIMUM_BLOCKS
from bench.engine.store import Outcome
from bench.questions.provisioning import host, mininet, topologies, verdict
from bench.questions.provisioning.contenders import MININET
from bench.questions.provisioning.race import RaceSettings
from bench.questions.provisioning.verdict import AimResult, RaceRow, RaceSample
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.reconcile import Progress

SIZES = (8, 100, 1000)
#: Mininet takes minutes for more namespaces than that.
_MININET_MOST = 100
_MOST_ROUNDS = 1_000


@dataclass(frozen=True, slots=True)
class Race:
    """All that came of a race."""

    settings: RaceSettings
    rows: tuple[RaceRow, ...]
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
    settings = RaceSettings(
        f"bench{os.getpid() % 1_000_000}",
        tuple(sorted(sizes)),
        rounds,
        slow_rounds,
        shell_rounds,
        _MININET_MOST,
        secrets.randbits(32) if seed is None else seed,
    )
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="twinstack-mininet-") as directory:
        if slow_rounds:
            try:  # here, since the race's own host cannot reach the network
                settings = replace(settings, mininet=str(mininet.unpack(Path(directory))))
            except TwinstackError as error:
                left_out[MININET] = str(error)
        race = "bench.questions.provisioning.race"
        printed = host.measured(race, json.dumps(asdict(settings)), progress=progress)
    samples = tuple(RaceSample(**sample) for sample in printed)
    rows = verdict.rows(samples)
    verdicts = verdict.judge(samples, verdict.aims(settings.sizes))
    result = Race(settings, rows, verdicts, samples, left_out)
    text = verdict.table(rows, verdicts, left_out)
    plan = topologies.plan(min(sizes), settings.instance)
    return Outcome("scale", plan, result, text, verdict.code(verdicts))
