"""What this machine lacks to carry both worlds, and the one command that mends each lack.

`observe` looks at the host, `judge` decides purely over what it saw, a `Report` shows it.
"""

from __future__ import annotations

from twinstack.doctor.checks import Wanted, judge, wanted_by
from twinstack.doctor.facts import Facts, observe
from twinstack.doctor.report import Check, Report, State

__all__ = ["Check", "Facts", "Report", "State", "Wanted", "examine", "judge", "wanted_by"]


def examine(wanted: Wanted, facts: Facts | None = None) -> Report:
    """Check this machine against what the plans want of it. Changes nothing."""
    return Report(judge(wanted, observe() if facts is None else facts))
