"""No capture, however damaged, brings a traceback; and what is read of it is counted rightly."""

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

from tests.pure.test_project import ROOT
from tests.support import craft
from tests.support import traffic_cases as cases
from twinstack.errors import TwinstackError
from twinstack.observe.traffic.html import page
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.text import text
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
            found = craft.report(*paths)
        except TwinstackError as error:
            said = str(error)
            assert said.startswith(str(folder)), said
            assert len(said.splitlines()) == 1
            return None
    assert found.sights == sum(place.packets for place in found.places)
    assert found.packets <= found.sights
    assert found.packets == sum(pair.packets for pair in found.pairs)
    assert found.bytes == sum(pair.bytes for pair in found.pairs)
    assert found.packets == sum(moment.packets for moment in found.moments)
    assert found.packets == sum(share.packets for share in found.protocols)
    assert text(found)
    assert dumps(asdict(found), indent=2)
    HTMLParser().feed(page(found, ROOT / "templates"))
    return found


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
    head=st.sampled_from([one[:24] for one in cases.whole_files()]), rest=st.binary(max_size=600)
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
    found = read(tmp_path, [file.read_bytes()])
    assert found is not None
    assert found.sights == len(frames)
    assert found.places[0].bytes == sum(map(len, frames)) if frames else True


def test_whole_files_are_read_without_a_note_of_damage(tmp_path: Path):
    for data in cases.whole_files():
        found = read(tmp_path, [data])
        assert found is not None
        assert not [note for note in found.notes if "read up to byte" in note]


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
        found = read(tmp_path, files)
        read_ones += found is not None
        refused += found is None
        if found is None or len(files) > 1 or tried < COMPARED_EVERY * compared:
            continue
        # Where records are broken, tshark guesses at pcap's old variants, and we stop; a link type
        # that it does not know ends tshark's reading, and not ours.
        broken = any("read up to byte" in note for note in found.notes)
        expected = None if broken else craft.tshark_frames(tmp_path / "0.pcap")
        if expected is not None:
            compared += 1
            assert found.sights == expected, (tmp_path / "0.pcap").read_bytes().hex()
    tell(
        f"damaged captures: {tried} tried, {read_ones} read, {refused} refused, "
        f"{compared} compared with tshark, 0 tracebacks"
    )
    assert read_ones > 0
    assert refused > 0
    assert compared > 0
