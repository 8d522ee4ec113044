"""What one customer does, drawn from a seed: a list of acts; pure.

The two kinds: one that orders products by name, repeats orders and reads them; one with a cart,
who fills, changes and checks it out, sometimes from several windows at once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from twinstack.order_check.history import Lines

Does = Literal[
    "order",  # once, with a key
    "order shared",  # with a key that another session uses too
    "order twice",  # the same key from two connections at once
    "repeat",  # an earlier key of the session, the same request
    "reuse",  # an earlier key of the session, another request
    "read",  # an earlier order of the session
    "look",  # at a product, or at the list
    "add",
    "put",
    "clear",
    "show",
    "check out",
    "check out twice",  # with two keys at once: one may get the cart
    "check out again",  # the key of the last check-out
]
#: Of these there is plenty; of the scarce ones, orders are refused.
PLENTY = (1, 2, 3, 9, 10, 11, 12, 21)
SCARCE = (7, 15, 20, 23, 24)


@dataclass(frozen=True, slots=True)
class Act:
    """One act of a session. `which` chooses among what the session did before."""

    does: Does
    lines: Lines = ()
    which: int = 0


def acts_of(seed: int, session: int) -> tuple[Act, ...]:
    """Draw a session's acts."""
    rng = random.Random(f"{seed}/{session}")
    return tuple(_with_cart(rng) if rng.random() < 0.35 else _by_name(rng))


def orders_in(acts: tuple[Act, ...]) -> int:
    """Count the keys that a session's acts use."""
    keys = {"order": 1, "order shared": 1, "order twice": 1, "check out": 1, "check out twice": 2}
    return sum(keys.get(act.does, 0) for act in acts)


def _by_name(rng: random.Random) -> list[Act]:
    acts = [Act("look", which=rng.choice((0, *PLENTY)))]
    if rng.random() < 0.1:
        acts.append(Act("order shared", _lines(rng)))
    for _ in range(rng.randint(2, 6)):
        does: Does = "order twice" if rng.random() < 0.15 else "order"
        acts.append(Act(does, _lines(rng, scarce=rng.random() < 0.1)))
        if rng.random() < 0.4:
            acts.append(Act("look", which=rng.choice((0, *PLENTY, 24))))
        if rng.random() < 0.3:
            acts.append(Act("repeat", which=rng.randrange(8)))
        if rng.random() < 0.15:
            acts.append(Act("reuse", _lines(rng), which=rng.randrange(8)))
        if rng.random() < 0.3:
            acts.append(Act("read", which=rng.randrange(8)))
    return acts


def _with_cart(rng: random.Random) -> list[Act]:
    acts: list[Act] = []
    liked = rng.sample(PLENTY, 2)
    for _ in range(rng.randint(1, 3)):
        for _ in range(rng.randint(1, 2)):
            acts.append(Act("add", ((rng.choice(liked), rng.randint(1, 3)),)))
        if rng.random() < 0.3:  # late: the next cart is none of its business
            acts += (Act("check out again"), Act("show"))
        change = rng.random()
        if change < 0.2:
            acts.append(Act("put", _lines(rng)))
        elif change < 0.25:
            acts += (Act("clear"), Act("show"), Act("add", ((liked[0], 1),)))
        if rng.random() < 0.4:
            acts.append(Act("show"))
        acts.append(Act("check out twice" if rng.random() < 0.25 else "check out"))
        acts.append(Act("show"))
        if rng.random() < 0.3:
            acts.append(Act("check out again"))
        if rng.random() < 0.2:
            acts.append(Act("check out"))  # of an empty cart
        if rng.random() < 0.3:
            acts.append(Act("read", which=rng.randrange(8)))
    return acts


def _lines(rng: random.Random, scarce: bool = False) -> Lines:
    chosen = rng.sample(PLENTY, rng.choice((1, 1, 2, 3)))
    lines = {product: rng.choice((1, 1, 1, 2, 3)) for product in chosen}
    if scarce:
        lines[rng.choice(SCARCE)] = rng.randint(1, 5)
    return tuple(sorted(lines.items()))
