"""Is `traffic.report` as fast as tshark's table of conversations, and is its memory bounded?

Both read the same capture, by turns in random order, as their users start them: ours as `invoke
traffic.report FILE --json` with all that it reports, tshark as `tshark -q -z conv,tcp -r FILE`.
Peak memory is measured on a file and on a third of it, by which, from 600 MB on, tables are full.
"""

from __future__ import annotations

import random
import shutil
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.engine.arm import CPU, RATE, Arm, Bound, Contrast
from bench.engine.loads import by_program
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from bench.questions import traffic_file
from bench.questions.traffic_file import PcapFile
from twinstack.errors import Missing
from twinstack.model import bounds
from twinstack.observe.traffic.flow_table import MAX_FLOWS
from twinstack.reconcile import Progress
from twinstack.stack import REPOSITORY, Stack

OURS, TSHARK = "traffic.report", "tshark conv,tcp"
#: At least as fast; and by how much memory may grow from a third of the file to all of it.
LEAST = 1.0
MEMORY_GROWTH = 1.15
_LEAST_MB, _MOST_MB = 10, 2_000


FASTER = Contrast(OURS, TSHARK)


def ask(stack: Stack, *, megabytes: int, how: Design, progress: Progress) -> Outcome:
    """Compare both. Raises: Missing without tshark; StepFailed; TwinstackError for odd options."""
    bounds.within("megabytes", megabytes, _LEAST_MB, _MOST_MB)
    tshark = shutil.which("tshark")
    if tshark is None:
        remedy = 'run "make setup"'
        raise Missing("tshark", "is missing", "it is the program to compare with", remedy)
    plan, seed = stack.plan(), random.SystemRandom().getrandbits(32)
    with TemporaryDirectory(prefix="twinstack-traffic-") as folder:
        progress(f"writing {megabytes} MB")
        large = traffic_file.write(Path(folder) / "large.pcap", plan, megabytes * 10**6, seed)
        small = traffic_file.write(Path(folder) / "small.pcap", plan, megabytes * 10**6 // 3, seed)

        def arm(name: str, file: PcapFile = large) -> Arm:
            ours = [sys.executable, "-m", "invoke", "traffic.report", str(file.path), "--json"]
            theirs = [tshark, "-q", "-z", "conv,tcp", "-r", str(file.path)]
            return Arm(name, by_program(ours if name == OURS else theirs, REPOSITORY))

        little = arm(OURS, small).load().figures["peak_bytes"]
        experiment = Experiment(
            stage=lambda: nullcontext([arm(OURS), arm(TSHARK)]),
            contrasts=(FASTER,),
            load=f"{large.packets:,} packets, {large.bytes / 1e6:.0f} MB, each program by turns",
            quantities=(RATE, CPU),
            bounds=(Bound(FASTER, RATE, LEAST, least=True),),
        )
        measured = run(experiment, replace(how, blocks=1), progress)
    peak = max(window.figures["peak_bytes"] for window in measured.arms[OURS])
    level = peak <= MEMORY_GROWTH * little if small.connections >= MAX_FLOWS else None
    words = {True: "yes", False: "NO", None: "not judged, it takes 600 MB"}
    note = (
        f"Peak memory of ours {peak / 1e6:.0f} MB, of a third of the file {little / 1e6:.0f} MB; "
        f"level: {words[level]}."
    )
    outcome = outcome_of(measured, "traffic", plan, [note])
    return replace(outcome, code=1) if level is False and not outcome.code else outcome
