"""Which links are captured, by what names, in which files; and the command that does the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.pure.test_project import ROOT
from tests.support import craft
from tests.support.craft import Frame
from twinstack.errors import Missing, TwinstackError
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.observe.capture import live, targets
from twinstack.observe.capture.record import CaptureResult, LinkCapture
from twinstack.observe.capture.targets import CaptureOptions
from twinstack.world import Link

BRIDGE = Link("br-app", "bridge", "", "app", "")
OUTER = Link("ve-nginx-lb", "host end", "", "app", "nginx-lb")
INNER = Link("eth0", "inside", "/run/netns/nginx-lb", "app", "nginx-lb")
OTHER = Link("eth0", "inside", "/run/netns/redis-cache", "app", "redis-cache")
LINKS = (BRIDGE, OUTER, INNER, OTHER)


@pytest.mark.parametrize(
    ("names", "bridges", "expected"),
    [
        ([], [], [BRIDGE]),
        ([], ["app"], [BRIDGE]),
        (["br-app"], [], [BRIDGE]),
        (["nginx-lb"], [], [OUTER]),
        (["ve-nginx-lb"], ["br-app"], [OUTER, BRIDGE]),
        (["nginx-lb/eth0", "redis-cache/eth0", "nginx-lb/eth0"], [], [INNER, OTHER]),
    ],
)
def test_links_are_chosen_by_what_they_are_called(
    names: list[str], bridges: list[str], expected: list[Link]
):
    assert list(targets.chosen(LINKS, names, bridges)) == expected


def test_everything_is_every_link():
    assert targets.chosen(LINKS, everything=True) == LINKS
    assert targets.outer(LINKS) == (OUTER,)


@pytest.mark.parametrize(
    ("names", "bridges", "said"),
    [
        (["nix"], [], "--link nix: is not there: there are br-app, nginx-lb/ve-nginx-lb, "),
        (["eth0"], [], "--link eth0: is not there"),  # every namespace has one
        ([], ["ve-nginx-lb"], "--bridge ve-nginx-lb: is not there: there are br-app; choose"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(names: list[str], bridges: list[str], said: str):
    with pytest.raises(TwinstackError) as caught:
        targets.chosen(LINKS, names, bridges)
    assert str(caught.value).startswith(said)


def test_a_world_that_is_down_has_nothing_to_listen_to():
    for choose in (targets.chosen, targets.outer):
        with pytest.raises(Missing, match="this world is not up"):
            choose(())
    with pytest.raises(Missing, match=r'docker world: .* not up; run "invoke docker\.up"'):
        targets.there("docker", ())
    assert targets.there("docker", LINKS) == LINKS


def test_a_files_name_tells_its_link():
    assert targets.file_name(INNER, 1, CaptureOptions(files=1)) == "nginx-lb.eth0.pcapng"
    assert targets.file_name(BRIDGE, 12, CaptureOptions(files=3)) == "br-app.00012.pcapng"


def test_the_command_that_does_the_same_enters_bounds_and_rotates(tmp_path: Path):
    told = targets.same_as(INNER, tmp_path, CaptureOptions(10, 128, 5_000_000, 2))
    assert told == (
        "nsenter --net=/run/netns/nginx-lb dumpcap -q -i eth0 -s 128 -p -a duration:10 "
        f"-b filesize:5000 -b files:2 -w {tmp_path}/nginx-lb.eth0.00001.pcapng"
    )
    whole = targets.same_as(BRIDGE, tmp_path, CaptureOptions(0, 0, 1_000_000, 1))
    assert whole == (f"dumpcap -q -i br-app -s 262144 -a filesize:1000 -w {tmp_path}/br-app.pcapng")


def row(**said: Any) -> LinkCapture:
    whole = LinkCapture("nginx-lb/eth0", "inside", 1234, 567_890, 0, 0, 0, "", "", ("a/x.pcapng",))
    return replace(whole, **said)


def test_the_summary_says_what_was_lost_and_why():
    lost = row(
        link="br-app",
        kind="bridge",
        dropped=7,
        discarded=5,
        unkept=3,
        unkept_because="the file was full",
        failed="it went down",
    )
    told = live.text(CaptureResult("a", 1.26, True, (row(), lost))).splitlines()
    assert told[1] == "nginx-lb/eth0       1,234    568 kB         0"
    assert told[2].endswith(
        "7  (5 in files removed since; 3 came when the file was full; it went down)"
    )
    lost = replace(lost, unkept_because="the file could not be written", failed="")
    told = live.text(CaptureResult("a", 1.26, True, (row(), lost))).splitlines()
    assert told[2].endswith(
        "7  (5 in files removed since; 3 came when the file could not be written)"
    )
    assert told[3] == "2,468 packets in 1.3 s, stopped; 2 files in a"
    assert told[4].startswith("! the kernel had no room for 7 more packets")


def test_a_report_of_a_capture_notes_what_that_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = craft.pcap(tmp_path / "a.pcap", [Frame(bytes(3))])
    rows = (
        row(files=(str(file),), unkept=1234, unkept_because="the file was full"),
        row(link="br-app", files=(), failed="it went down"),
    )
    monkeypatch.setattr(live, "capture", lambda *_, **__: CaptureResult("a", 1.26, True, rows))
    monkeypatch.setattr(live, "host_addresses", lambda _links: ())
    plan = resolve(load(ROOT / "topology.yml"), "flat")
    found = live.listened(LINKS, [plan], 10, lambda _line: None)
    assert found.notes == (
        "stopped after 1.3 s of 10 s",
        "nginx-lb/eth0: 1,234 packets came when the file was full",
        "br-app: it went down",
        "1 packets are shorter than their headers",
    )
    whole = CaptureResult("a", 10.0, False, (row(files=(str(file),)),))
    monkeypatch.setattr(live, "capture", lambda *_, **__: whole)
    assert live.listened(LINKS, [plan], 10, lambda _line: None).notes == found.notes[-1:]


def test_a_summary_without_loss_ends_with_its_files():
    told = live.text(CaptureResult("a", 10.0, False, (row(),))).splitlines()
    assert told[-1] == "1,234 packets in 10.0 s; 1 file in a"
