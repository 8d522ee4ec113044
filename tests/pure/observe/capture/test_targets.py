"""Which links are captured, their names and files; and the command that does the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstack.errors import TwinstackError
from twinstack.observe.capture import targets
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
def test_links_are_selected_by_their_names(
    names: list[str], bridges: list[str], expected: list[Link]
):
    assert list(targets.select_links(LINKS, names, bridges)) == expected


def test_everything_selects_every_link():
    assert targets.select_links(LINKS, everything=True) == LINKS
    assert targets.host_ends(LINKS) == (OUTER,)


@pytest.mark.parametrize(
    ("names", "bridges", "message"),
    [
        (["nix"], [], "--link nix: is not there: there are br-app, nginx-lb/ve-nginx-lb, "),
        (["eth0"], [], "--link eth0: is not there"),  # every namespace has one
        ([], ["ve-nginx-lb"], "--bridge ve-nginx-lb: is not there: there are br-app; choose"),
    ],
)
def test_an_unknown_link_is_named_with_the_known_ones(
    names: list[str], bridges: list[str], message: str
):
    with pytest.raises(TwinstackError) as caught:
        targets.select_links(LINKS, names, bridges)
    assert str(caught.value).startswith(message)


def test_a_file_is_named_by_its_link():
    assert targets.file_name(INNER, 1, CaptureOptions(files=1)) == "nginx-lb.eth0.pcapng"
    assert targets.file_name(BRIDGE, 12, CaptureOptions(files=3)) == "br-app.00012.pcapng"


def test_the_command_that_does_the_same_enters_bounds_and_rotates(tmp_path: Path):
    command = targets.dumpcap_command(INNER, tmp_path, CaptureOptions(10, 128, 5_000_000, 2))
    assert command == (
        "nsenter --net=/run/netns/nginx-lb dumpcap -q -i eth0 -s 128 -p -a duration:10 "
        f"-b filesize:5000 -b files:2 -w {tmp_path}/nginx-lb.eth0.00001.pcapng"
    )
    whole = targets.dumpcap_command(BRIDGE, tmp_path, CaptureOptions(0, 0, 1_000_000, 1))
    assert whole == (f"dumpcap -q -i br-app -s 262144 -a filesize:1000 -w {tmp_path}/br-app.pcapng")
