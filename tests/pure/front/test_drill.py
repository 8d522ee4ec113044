"""What gives the same drill again is said as it must be asked for."""

from __future__ import annotations

from front.drill import again


def test_a_seed_is_told_with_what_it_drew_among() -> None:
    assert again("", 0, 7) == "--seed 7"
    assert again("", 2, 7) == "--level 2 --seed 7"
    assert again("frozen", 2, 7) == "frozen --seed 7"
