from __future__ import annotations

import json
from dataclasses import asdict
from socket import PACKET_HOST, PACKET_OTHERHOST, PACKET_OUTGOING

from tests.support.core_cases import planned
from tests.support.vxlan_frames import vxlan_frame
from twinstack.model.topology import HostsSpec
from twinstack.overlay.flooding import (
    UnderlayTraffic,
    expected_frames,
    is_own,
    judge,
    merged,
    sentences,
)
from twinstack.overlay.frames import decode
from twinstack.overlay.host_plans import spread_over_hosts
from twinstack.overlay.protocol import TRAFFIC

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


def counted(kind: int, data: bytes) -> bool:
    frame = decode(data)
    assert frame is not None
    return is_own(kind, frame, expected_frames(PLAN, SPREAD))


def test_a_machine_counts_what_it_sends_and_what_an_intruder_sends_it():
    mine = vxlan_frame()
    assert counted(PACKET_OUTGOING, mine)
    assert not counted(PACKET_HOST, mine)  # its sender counts it
    intruder = mine.replace(bytes([10, 88, 0, 11]), bytes([10, 88, 0, 99]))
    assert intruder != mine
    assert counted(PACKET_HOST, intruder)
    assert not counted(PACKET_OTHERHOST, intruder)  # it is for somebody else


def test_a_machine_counts_no_frame_of_a_vxlan_that_is_not_ours():
    stranger = "02:42:0a:00:01:05"
    assert not counted(PACKET_OUTGOING, vxlan_frame(to=stranger, vni=4097))
    assert counted(PACKET_OUTGOING, vxlan_frame(to=stranger))  # flooded
    assert counted(PACKET_OUTGOING, vxlan_frame(vni=4097))  # astray


def test_what_several_machines_counted_is_added_and_keeps_examples():
    home = SPREAD.host(SPREAD.where["product-service"]).address
    first, second = judged(vxlan_frame(outer=home)), judged(vxlan_frame(outer=home, flags=0))
    whole = merged([first, second])
    assert (whole.frames, whole.delivered, whole.cut) == (2, 2, 1)
    assert whole.longest == first.longest
    assert whole.examples == first.examples
    assert TRAFFIC.validate_python(json.loads(json.dumps(asdict(whole)))) == whole
