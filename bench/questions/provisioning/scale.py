"""The front of the race: options in, an answer with table, samples and judgements out."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.engine.design import require_rounds
from bench.questions.catalogue import Answer
from bench.questions.provisioning import host, mininet, topologies, verdict
from bench.questions.provisioning.contenders import MININET
from bench.questions.provisioning.race import Settings
from bench.questions.provisioning.verdict import Row, Sample, Verdict
from twinstack.errors import StepFailed, TwinstackError
from twinstack.model import bounds
from twinstack.reconcile import Progress

SIZES = (8, 100, 1000)
#: Mininet takes minutes for more, and is compared with up to here (issue 3).
_MININET_MOST = 100
_REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Race:
    """All that came of a race."""

    settings: Settings
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    samples: tuple[Sample, ...]
    left_out: dict[str, str]


def ask_scale(
    *,
    sizes: Sequence[int] = SIZES,
    rounds: int = 10,
    slow_rounds: int = 6,
    shell_rounds: int = 3,
    seed: int | None = None,
    progress: Progress,
) -> Answer:
    """Race ours against the floor, and against shell and Mininet in fewer rounds.

    `slow_rounds` of these two, 0 leaves them out; `shell_rounds` of the shell at the largest size.
    Raises: TwinstackError for options that cannot be; StepFailed when the race ends badly.
    """
    require_rounds(rounds)
    bounds.within("slow-rounds", slow_rounds, 0, rounds)
    bounds.within("shell-rounds", shell_rounds, 0, rounds)
    for size in sizes:
        topologies.sized(size)  # refuse one that cannot be before anything is made
    settings = Settings(
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
            try:  # here, since the race's own host has no way out
                settings = replace(settings, mininet=str(mininet.unpack(Path(directory))))
            except TwinstackError as error:
                left_out[MININET] = str(error)
        samples = tuple(Sample(**one) for one in _race(settings, progress))
    rows = verdict.rows(samples)
    verdicts = verdict.judge(samples, verdict.aims(settings.sizes), settings.seed)
    found = Race(settings, rows, verdicts, samples, left_out)
    text = verdict.table(rows, verdicts, left_out)
    return Answer("scale", topologies.plan(min(sizes), settings.instance), found, text)


def code(answer: Answer) -> int:
    """Give the exit code of the check: 0 all aims reached, 1 one missed, 2 one left open."""
    return verdict.code(answer.found.verdicts) if isinstance(answer.found, Race) else 2


def _race(settings: Settings, progress: Progress) -> list[dict[str, Any]]:
    """Run `race` in a host of its own, its progress passed on."""
    program = (
        sys.executable,
        "-m",
        "bench.questions.provisioning.race",
        json.dumps(asdict(settings)),
    )
    own = {key: text for key, text in os.environ.items() if not key.startswith("TWINSTACK_")}
    with subprocess.Popen(
        host.words(*program),
        cwd=_REPOSITORY,
        env=own,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as racing:
        assert racing.stdout is not None
        assert racing.stderr is not None
        last = ""
        for line in racing.stderr:
            last = line.strip()
            progress(last)
        answer = racing.stdout.read()
    if racing.returncode != 0:
        raise StepFailed("the race", f"ended with {racing.returncode}", last)
    return list(json.loads(answer))
