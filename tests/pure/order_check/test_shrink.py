"""Shrinking leaves what makes a schedule fail, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twinstack.order_check.shrink import shrink


@given(st.integers(1, 40), st.data())
def test_what_remains_is_the_cause(count: int, data: st.DataObject) -> None:
    culprits = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3))
    asked: list[tuple[int, ...]] = []

    def fails(part: tuple[int, ...]) -> bool:
        asked.append(part)
        return culprits <= set(part)

    assert set(shrink(range(count), fails)) == culprits
    assert len(asked) == len(set(asked))


def test_one_of_several_causes_is_enough() -> None:
    assert shrink("abcdefgh", lambda part: bool({"c", "g"} & set(part))) in {("c",), ("g",)}
