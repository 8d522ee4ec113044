"""A value out of its bounds is refused in one line, before anything is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twinstack.errors import TwinstackError
from twinstack.model import bounds


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (lambda: bounds.timeout(0), "--timeout: cannot be 0: it is a time in seconds, more than 0"),
        (lambda: bounds.timeout(-3), "--timeout: cannot be -3"),
        (lambda: bounds.lines(0), "--lines: cannot be 0: it is 1 to 1000000"),
        (lambda: bounds.times(0), "--times: cannot be 0: it is 1 to 100"),
        (lambda: bounds.within("port", 70_000, 0, 65_535, "a port"), "--port: cannot be 70000"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_option(
    check: Callable[[], None], expected: str
) -> None:
    with pytest.raises(TwinstackError, match=expected) as refusal:
        check()
    assert "\n" not in str(refusal.value)


def test_the_least_values_are_accepted() -> None:
    bounds.timeout(1)
    bounds.lines(1)
    bounds.times(1)
