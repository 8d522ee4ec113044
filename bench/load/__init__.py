"""Load generators, and programs to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tally:
    """What a load did. A run of a program is a request too."""

    done: int  # requests that succeeded
    failed: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)  # "p99_ms", "wall_s", …
