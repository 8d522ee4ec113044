"""The tree fits a terminal and holds no control characters."""

from __future__ import annotations

import pytest

from tests.support.topology_cases import topologies
from twinstack.observe.picture.text import text


@pytest.mark.parametrize("number", range(4))
def test_the_tree_fits_eighty_columns_and_holds_no_control_character(number: int):
    drawn = text([topologies()[number]])
    assert max(len(line) for line in drawn.splitlines()) <= 80
    assert all(letter.isprintable() or letter == "\n" for letter in drawn)
