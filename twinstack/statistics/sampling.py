"""Two sampling distributions, exact: Student's t and Wilcoxon's signed rank; pure.

The standard library has neither, and SciPy would be a large dependency for forty lines.

Source: Abramowitz & Stegun, 26.7.3 and 26.7.4 (t of whole degrees of freedom); Hollander & Wolfe,
Nonparametric Statistical Methods, 3.1 and 3.3 (signed rank, interval from Walsh averages).
"""

from __future__ import annotations

import math
from functools import lru_cache

_BISECTIONS = 80


def t_within(t: float, freedom: int) -> float:
    """Give the probability that Student's t lies within ±t."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, terms = (cosine, 0.0) if odd else (1.0, 0.0)
    for power in range(1 + odd, freedom, 2):
        terms += term
        term *= cosine**2 * power / (power + 1)
    return 2 / math.pi * (angle + sine * terms) if odd else sine * terms


@lru_cache(maxsize=256)
def t_quantile(level: float, freedom: int) -> float:
    """Give the t that `level` of all lie within: 2.262 for 0.95 and 9 degrees of freedom."""
    low, high = 0.0, 1.0
    while t_within(high, freedom) < level:
        high *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, freedom) < level else (low, middle)
    return high


@lru_cache(maxsize=64)
def signed_rank_below(count: int) -> tuple[float, ...]:
    """Give P(T ≤ k) of the signed-rank statistic of `count` values, for k below its middle."""
    middle = count * (count + 1) // 4 + 1
    chances = [1.0]
    for rank in range(1, count + 1):
        size = min(len(chances) + rank, middle)
        plain = chances + [0.0] * (size - len(chances))
        moved = [0.0] * rank + chances
        chances = [(a + b) / 2 for a, b in zip(plain, moved, strict=False)]
    total, below = 0.0, []
    for chance in chances:
        total += chance
        below.append(total)
    return tuple(below)
