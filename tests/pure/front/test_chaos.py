from __future__ import annotations

from front.chaos import report_text, strikes_text
from twinstack.chaos.judge import JudgedFault, OrdersSeen
from twinstack.chaos.run import ChaosReport
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


def test_a_report_says_what_was_struck_what_broke_and_how_to_replay_it():
    fine = JudgedFault(1, "kill", "redis-cache", 2.0, 60, 0, 0.2, 16, 0, 0.0, 1.2, ())
    bad = JudgedFault(2, "stop", "nginx-lb", 2.0, 4, 4, 0.0, 2, 2, 0.3, 1.0, ("full service late",))
    report = ChaosReport("net", 7, "", (fine, bad), OrdersSeen(30, 30, (), (), 0))
    assert not report.held
    assert strikes_text(report).splitlines() == [
        "   fault  target       s    reads  failed  slowest  full after  held",
        "1  kill   redis-cache  2.0  60     0       0.20 s   0.00 s      yes",
        "2  stop   nginx-lb     2.0  4      4       0.00 s   0.30 s      no",
        "",
        "2 stop:nginx-lb: full service late",
        "30 orders, 30 acknowledged: 0 lost, 0 undecided, 0 more taken from stock than ordered",
        "seed 7: the same again with --seed 7",
    ]
