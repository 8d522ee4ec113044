"""In which order trials run: randomised within each round, balanced over all, and never so many
that a table of the kernel's runs full; pure.

Running all of one and then all of the other mistakes the machine's drift for a difference. Here
every round measures each target once, in an order drawn from a recorded seed, and each of the
two compared goes first in half of the rounds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.engine.estimate import MINIMUM_PAIRS
from twinstack.errors import TwinstackError
from twinstack.model import bounds

#: More than this at once, or in a run, is another tool's work.
MOST_REQUESTS, MOST_CLIENTS, MOST_ROUNDS = 1_000_000, 1_000, 1_000
#: Tables fuller than this part make connections slow or fail.
_FULL = 0.8


def require_rounds(rounds: int) -> None:
    """Refuse too few rounds for an interval, or too many. Raises: TwinstackError."""
    why = f"an interval needs {MINIMUM_PAIRS} rounds at least"
    bounds.within("rounds", rounds, MINIMUM_PAIRS, MOST_ROUNDS, why)


def require_load(requests: int, concurrency: int) -> None:
    """Refuse a load that `ab` cannot send. Raises: TwinstackError."""
    bounds.within("requests", requests, 1, MOST_REQUESTS)
    bounds.within("concurrency", concurrency, 1, MOST_CLIENTS)
    if requests < concurrency:
        raise TwinstackError(
            "--requests",
            f"cannot be {requests}",
            f"{concurrency} at once need as many",
            "raise it, or lower --concurrency",
        )


def schedule(
    compared: Sequence[str], others: Sequence[str], *, rounds: int, others_every: int, seed: int
) -> tuple[tuple[str, ...], ...]:
    """Give each round's order.

    `compared` are in every round; `others` in every `others_every`-th, starting with the first.
    """
    chance = random.Random(seed)
    turned = [number % 2 == 0 for number in range(rounds)]
    chance.shuffle(turned)
    found = []
    for number in range(rounds):
        names = [*compared, *(others if number % others_every == 0 else ())]
        chance.shuffle(names)
        places = sorted(names.index(name) for name in compared)
        wanted = list(compared)
        if len(wanted) == 2:
            wanted = wanted[::-1] if turned[number] else wanted
        else:
            chance.shuffle(wanted)
        for place, name in zip(places, wanted, strict=True):
            names[place] = name
        found.append(tuple(names))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Room:
    """What new connections take up. `waiting` are a destination's sockets in TIME_WAIT, of the
    `ports` that there are; `tracked` and `tracked_most` conntrack's entries, None without it.
    """

    ports: int
    waiting: int
    tracked: int | None = None
    tracked_most: int | None = None

    def lacks(self, connections: int) -> str:
        """Name what so many more connections would exhaust; empty when all fit.

        A lone run on an empty table always fits: more than that cannot be waited for.
        """
        if self.waiting and self.waiting + connections > self.ports * _FULL:
            return "local ports"
        if self.tracked is None or self.tracked_most is None:
            return ""
        # One through a userland proxy is tracked twice, and once more where it is translated.
        full = self.tracked + 3 * connections > self.tracked_most * _FULL
        return "conntrack entries" if full and self.tracked > 3 * connections else ""
