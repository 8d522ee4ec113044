from __future__ import annotations

from front.overlay import report_text
from twinstack.overlay.chaos import FaultPhase, FaultReport


def test_a_report_is_a_table_of_what_the_client_saw():
    good = FaultPhase("before", 2.0, 30, 30, 0.17, ("product-service", "product-service-2"))
    bad = FaultPhase("after", 3.0, 3, 0, 3.0, ())
    assert report_text(FaultReport("host-loss", "host-3", "host-1", (good, bad))).splitlines() == [
        "host-loss of host-3, seen from host-1: GET /api/products",
        "",
        "        seconds  asked  good  longest gap  served by",
        "before  2.0      30     30    0.17 s       product-service product-service-2",
        "after   3.0      3      0     3.00 s       none",
        "",
        "some requests still fail",
    ]
