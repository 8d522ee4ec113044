"""How soon commands answer: told by CPU time over the floor's, in the same round."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.questions import commands

SPIN = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


def test_cpu_time_is_that_of_the_command_and_not_its_sleep(tmp_path: Path) -> None:
    asked = {
        "spins": (sys.executable, "-c", SPIN),
        "sleeps": (sys.executable, "-c", "import time; time.sleep(0.5)"),
        "fails": (sys.executable, "-c", "raise SystemExit(3)"),
    }
    found = commands.measured(asked, tmp_path)
    assert found.keys() == asked.keys()
    assert found["spins"][0] >= 0.3
    assert found["sleeps"][0] < 0.3 <= found["sleeps"][1]


def test_a_command_over_the_bound_is_named() -> None:
    floor = dict.fromkeys((*commands.OURS, *commands.THEIRS), (0.4, 0.5))
    late = floor | {"invoke policy.show": (0.4 + commands.MOST_S + 0.1, 0.9)}
    assert "holds" in commands.table(commands.summed([floor, floor, late]))
    text = commands.table(commands.summed([floor, late, late]))
    assert "FAILS for invoke policy.show. Medians of 3 rounds" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
