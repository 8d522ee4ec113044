"""No damaged capture causes a traceback, and what is read of it is counted correctly."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import craft
from tests.support import traffic_cases as cases
from tests.support.project import ROOT
from twinstack.errors import TwinstackError
from twinstack.observe.traffic.html import page
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.sections import text
from twinstack.printable import dumps

FULL_S, SEED = 600, 20261124
#: tshark takes half a second a file.
COMPARED_EVERY = 50


def read(folder: Path, files: Sequence[bytes]) -> TrafficReport | None:
    """Report files; None for a clear refusal. Anything else that is raised is a defect."""
    paths = []
    for number, data in enumerate(files):
        path = folder / f"{number}.pcap"
        path.write_bytes(data)
        paths.append(path)
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            report = craft.report(*paths)
        except TwinstackError as error:
            message = str(error)
            assert message.startswith(str(folder)), message
            assert len(message.splitlines()) == 1
            return None
    assert report.sights == sum(place.packets for place in report.places)
    assert report.packets <= report.sights
    assert report.packets == sum(pair.packets for pair in report.pairs)
    assert report.bytes == sum(pair.bytes for pair in report.pairs)
    assert report.packets == sum(moment.packets for moment in report.moments)
    assert report.packets == sum(share.packets for share in report.protocols)
    assert text(report)
    assert dumps(asdict(report), indent=2)
    HTMLParser().feed(page(report, ROOT / "templates"))
    return report


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    number=st.integers(0, len(cases.whole_files()) - 1),
    damage=st.lists(
        st.tuples(st.integers(0, cases.KINDS - 1), st.integers(0, 65535), st.integers(0, 65535)),
        max_size=6,
    ),
)
@example(number=0, damage=[])
def test_a_damaged_capture_is_read_or_refused(
    number: int, damage: list[cases.Damage], tmp_path: Path
):
    read(tmp_path, [cases.damaged(cases.whole_files()[number], damage)])


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    head=st.sampled_from([file[:24] for file in cases.whole_files()]), rest=st.binary(max_size=600)
)
def test_a_header_with_anything_behind_it_is_read_or_refused(
    head: bytes, rest: bytes, tmp_path: Path
):
    read(tmp_path, [head + rest])


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(link=st.sampled_from(cases.LINKS), frames=st.lists(st.binary(max_size=120), max_size=6))
def test_any_frame_on_any_link_is_counted(link: int, frames: list[bytes], tmp_path: Path):
    file = craft.pcap(tmp_path / "whole", craft.spaced(frames), link=link)
    report = read(tmp_path, [file.read_bytes()])
    assert report is not None
    assert report.sights == len(frames)
    assert report.places[0].bytes == sum(map(len, frames)) if frames else True


def test_whole_files_are_read_without_a_note_of_damage(tmp_path: Path):
    for data in cases.whole_files():
        report = read(tmp_path, [data])
        assert report is not None
        assert not [note for note in report.notes if "read up to byte" in note]


@pytest.mark.timeout(0)
def test_damage_of_ten_minutes_brings_no_traceback(
    full: bool, tell: Callable[[str], None], tmp_path: Path
):
    until = time.monotonic() + (FULL_S if full else 5)
    read_ones = refused = compared = tried = 0
    for files in cases.damages(SEED):
        if time.monotonic() > until:
            break
        tried += 1
        report = read(tmp_path, files)
        read_ones += report is not None
        refused += report is None
        if report is None or len(files) > 1 or tried < COMPARED_EVERY * compared:
            continue
        # Where records are broken, tshark guesses at pcap's old variants, and we stop; a link type
        # that it does not know ends tshark's reading, and not ours.
        broken = any("read up to byte" in note for note in report.notes)
        expected = None if broken else craft.tshark_frames(tmp_path / "0.pcap")
        if expected is not None:
            compared += 1
            assert report.sights == expected, (tmp_path / "0.pcap").read_bytes().hex()
    tell(
        f"damaged captures: {tried} tried, {read_ones} read, {refused} refused, "
        f"{compared} compared with tshark, 0 tracebacks"
    )
    assert read_ones > 0
    assert refused > 0
    assert compared > 0
