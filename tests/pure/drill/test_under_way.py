"""What another version has put is not known, and a world may lack what a drill needs: one line."""

from __future__ import annotations

import pytest

from twinstack.drill.catalogue import DRILLS
from twinstack.drill.overlay_site import OverlaySite
from twinstack.drill.put import written
from twinstack.drill.under_way import drill_of
from twinstack.errors import TwinstackError
from twinstack.faults.drill_record import Underway


def test_the_way_back_from_what_another_version_has_put_is_down_and_up() -> None:
    with pytest.raises(TwinstackError, match=r"another version.*docker.down.*docker.up") as raised:
        drill_of(Underway("of-old", "docker", "flat", "", 1, "", 0.0))
    assert raised.value.exit_code == 1  # the student used nothing wrongly


def test_a_drill_for_a_replica_that_is_not_there_is_refused() -> None:
    site = object.__new__(OverlaySite)
    site.__dict__["names"] = {}
    with pytest.raises(TwinstackError, match=r"is refused: the world has no [a-z]"):
        written(site, DRILLS[0])
