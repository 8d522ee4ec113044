"""A drill is found by its name, or drawn from those that a world can have."""

from __future__ import annotations

import pytest

from twinstack.drill.catalogue import DRILLS
from twinstack.drill.choose import choose, find, fitting
from twinstack.errors import WrongUse


def test_every_drill_is_found_by_its_name():
    assert [find(drill.name) for drill in DRILLS] == list(DRILLS)


def test_an_unknown_name_is_refused_with_where_to_look():
    with pytest.raises(WrongUse, match=r"drill nonsense: is unknown: .*drill\.list"):
        find("nonsense")


@pytest.mark.parametrize("world", ["net", "docker"])
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_what_is_drawn_fits_the_world_the_level_and_its_own_targets(world: str, level: int):
    for seed in range(50):
        drill, target = choose(world, "flat", "", level, seed)
        assert drill in fitting(world, "flat", level)
        assert (target in drill.targets) if drill.targets else target == ""


def test_one_seed_draws_one_drill_and_others_draw_others():
    assert choose("net", "flat", "", 0, 7) == choose("net", "flat", "", 0, 7)
    assert len({choose("net", "flat", "", 0, seed)[0].name for seed in range(50)}) > 20


def test_a_drill_of_another_world_is_refused_by_name():
    elsewhere = next(drill for drill in DRILLS if drill.worlds == ("docker",))
    with pytest.raises(WrongUse, match=f"drill {elsewhere.name}: cannot be put into net"):
        choose("net", "flat", elsewhere.name, 0, 1)


def test_a_level_that_a_world_has_not_is_refused():
    with pytest.raises(WrongUse, match="of level 9"):
        choose("net", "flat", "", 9, 1)
