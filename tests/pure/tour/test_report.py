from __future__ import annotations

from twinstack.tour.report import ShownScreen, TourReport, text
from twinstack.tour.run import RanCommand


def test_the_end_names_what_failed_and_what_was_left_out() -> None:
    fine = RanCommand("true", 0, True, 0.1, "")
    wrong = RanCommand("ip link show br-x", 1, False, 0.1, "no such device")
    screen = ShownScreen("veth", "A veth pair", "net", (fine, wrong))
    assert text(TourReport((screen,), ("docker",), False, 3.5)).splitlines() == [
        "",
        "exited 1, unexpected: ip link show br-x",
        "left out, as its world is not up: docker",
        "1 screen in 3.5 s",
    ]
