from __future__ import annotations

from tests.support.core_cases import planned
from tests.support.vxlan_frames import vxlan_frame
from twinstack.model.topology import HostsSpec
from twinstack.overlay.flooding import UnderlayTraffic, expected_frames, judge, sentences
from twinstack.overlay.frames import decode
from twinstack.overlay.host_plans import spread_over_hosts

PLAN = planned("flat")
SPREAD = spread_over_hosts(PLAN, HostsSpec(), 3)


def judged(data: bytes) -> UnderlayTraffic:
    seen, frame = UnderlayTraffic(), decode(data)
    assert frame is not None
    judge(seen, frame, expected_frames(PLAN, SPREAD))
    return seen


def test_frames_are_judged_by_what_the_plan_declares():
    home = SPREAD.host(SPREAD.where["product-service"]).address
    other = next(host.address for host in SPREAD.hosts if host.address != home)
    assert judged(vxlan_frame(outer=home)).delivered == 1
    assert judged(vxlan_frame(outer=other)).astray == 1
    assert judged(vxlan_frame(outer=home, vni=7301)).astray == 1
    assert judged(vxlan_frame(to="02:00:00:00:00:99", outer=home)).flooded == 1
    assert judged(vxlan_frame(to="ff:ff:ff:ff:ff:ff", outer=home)).to_everybody == 1
    assert judged(vxlan_frame(outer=home, flags=0)).cut == 1


def test_a_summary_counts_what_went_wrong():
    home = SPREAD.host(SPREAD.where["product-service"]).address
    text = "\n".join(sentences(judged(vxlan_frame(outer=home, flags=0)), PLAN))
    assert "1 VXLAN frame of vx-app" in text
    assert "1 could have been fragmented" in text
