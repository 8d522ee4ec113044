"""In which order trials run: randomised within each round, balanced over all, and never so many
that the local ports run out; pure.

Running all of one and then all of the other mistakes the machine's drift for a difference. Here
every round measures each target once, in an order drawn from a recorded seed, and each of the
two compared goes first in half of the rounds.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

#: The kernel's TCP_TIMEWAIT_LEN: for so long may a closed connection's ports stay taken.
TIME_WAIT_S = 60.0


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


class PortBudget:
    """How many new connections one destination may still be sent within TIME_WAIT_S."""

    def __init__(self, ports: int) -> None:
        self._limit = int(ports * 0.7)
        self._spent: dict[str, deque[tuple[float, int]]] = {}

    def wait_s(self, destination: str, connections: int, now_s: float) -> float:
        """Tell how long to wait before so many connections fit; a lone run always fits."""
        spent = self._spent.setdefault(destination, deque())
        while spent and spent[0][0] <= now_s - TIME_WAIT_S:
            spent.popleft()
        total = sum(count for _, count in spent) + connections
        wait = 0.0
        for moment, count in spent:
            if total <= self._limit:
                break
            total -= count
            wait = moment + TIME_WAIT_S - now_s
        return wait

    def spend(self, destination: str, connections: int, now_s: float) -> None:
        """Note a run's connections."""
        self._spent.setdefault(destination, deque()).append((now_s, connections))
