"""What is reported is bounded, adds up, and reads the same as a table, JSON and a page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from invoke.context import Context

from front import traffic as tasks
from tests.pure.test_project import ROOT
from tests.support import craft
from tests.support.craft import ACK, START_NS, SYN, Connection, Frame, Port, ethernet
from twinstack.errors import TwinstackError
from twinstack.observe.table import Column, Section, TableCell, section_text
from twinstack.observe.traffic import capture_file, flow_table, totals
from twinstack.observe.traffic.histogram import bucket_of, buckets_of, percentiles
from twinstack.observe.traffic.html import page
from twinstack.observe.traffic.records import RecordBatch
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.sections import duration, sections, size
from twinstack.observe.traffic.text import text

EVIL = "/<script>alert(1)</script>"


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    frames: list[bytes] = []
    for port in range(40000, 40020):
        for one in (
            Connection(craft.CLIENT, craft.NGINX, 80, port).open().ask(EVIL).close(),
            Connection(craft.NGINX, craft.GATEWAY, 3000, port).open().ask().close(),
            Connection(craft.PRODUCT, craft.PRODUCT2, 5000, port).open(),
        ):
            frames += map(ethernet, one.sent)
    frames.append(craft.vxlan(ethernet(craft.arp(craft.NGINX, craft.HOST), 0x0806)))
    return craft.pcapng(tmp_path / "a.pcapng", craft.spaced(frames), [Port("br-app")])


def test_an_interfaces_name_orders_no_terminal(tmp_path: Path):
    frames = list(map(ethernet, Connection(craft.CLIENT, craft.NGINX, 80, 40000).open().sent))
    evil = "\x1b]0;pwned\x07" + "\x1b[31m" * 12
    port = Port(evil)
    found = craft.report(craft.pcapng(tmp_path / "a.pcapng", craft.spaced(frames), [port]))
    said = text(replace(found, notes=(f"{evil}: 3 packets were cut",)))
    assert all(letter.isprintable() or letter == "\n" for letter in said)
    assert said.count("\\x1b]0;pwned\\x07") == 2


def run(file: Path, **words: object) -> int:
    try:
        tasks.traffic_report(Context(), str(file), **words)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def invoke(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", "traffic.report", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_terminal_shows_every_section_in_80_columns(file: Path):
    said = text(craft.report(file))
    for title in (
        "Not declared",
        "Between services",
        "HTTP",
        "TCP's health",
        "Protocols",
        "Top talkers",
        "Interfaces",
        "VXLAN carriers",
    ):
        assert title in said
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert re.search(r"^product-service +product-service +TCP 5000 +60 .* NO$", said, re.M)


def test_json_is_one_document_with_the_same_counts(file: Path, capsys):
    assert run(file, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["places"][0]["packets"] == craft.tshark_counts(file)[0]
    assert (
        sum(one["packets_there"] + one["packets_back"] for one in found["pairs"])
        == found["packets"]
    )
    assert {one["verdict"] for one in found["pairs"]} == {"declared", "undeclared", ""}


class Page(HTMLParser):
    """Collects what a page would fetch, and whether its tags match."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        links = [value or "" for name, value in attrs if name in ("src", "href")]
        self.fetched += [link for link in links if not link.startswith("#")]
        if tag not in ("meta", "link", "img", "br", "path", "rect", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_a_page_needs_no_network_and_no_script(file: Path, tmp_path: Path, capsys):
    target = tmp_path / "page.html"
    assert run(file, html=str(target)) == 0
    text = target.read_text()
    told = Page()
    told.feed(text)
    assert told.fetched == []
    assert told.open == []
    assert "script" not in told.tags
    assert {"svg", "table", "title"} <= set(told.tags)
    assert "url(" not in text
    assert "prefers-color-scheme:dark" in text
    assert "width=device-width" in text
    assert "&lt;script&gt;" in text
    assert f"written: {target}" in capsys.readouterr().err


def test_a_page_of_a_live_report_names_no_file_that_is_gone(file: Path):
    told = page(replace(craft.report(file), files=()), ROOT / "templates")
    assert "<title>Traffic</title>" in told
    assert "captured as it passed, on 1 link</p>" in told


def test_the_words_below_the_curve_keep_apart_on_a_phone(file: Path):
    told = page(craft.report(file), ROOT / "templates")
    assert re.search(r"\.axis\{[^}]*gap:1em", told)


def test_a_page_of_nothing_is_a_page(tmp_path: Path):
    found = craft.report(craft.pcap(tmp_path / "a.pcap", []))
    assert found.started_ns is None
    assert "No packets." in page(found, ROOT / "templates")
    assert text(found).startswith("No packets.")


@pytest.mark.parametrize("words", [{"html": "/nowhere/at/all.html"}, {"html": "/tmp"}])
def test_a_page_that_cannot_be_written_is_one_line(words, file: Path, capsys):
    assert run(file, **words) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_missing_file_is_one_line(tmp_path: Path, capsys):
    assert run(tmp_path / "none.pcap") == 1
    assert str(tmp_path / "none.pcap") in capsys.readouterr().err


def test_what_is_shortened_can_still_be_told_apart():
    paths = [f"POST /v1/services/product-service/product-service-{n}/heartbeat" for n in (2, 3)]
    columns = (Column("from"), Column("request", flexible=True))
    rows = tuple((TableCell("product-service"), TableCell(one)) for one in paths)
    told = section_text(Section("http", "HTTP", "a test", columns, rows), 41).splitlines()
    assert told[2:] == [
        "product-service  POST /v1/se…-2/heartbeat",
        "product-service  POST /v1/se…-3/heartbeat",
    ]
    assert max(map(len, told)) <= 41


def test_a_folder_stands_for_its_captures(file: Path, tmp_path: Path, capsys):
    (tmp_path / "notes.txt").write_text("no capture")
    assert tasks.captures_in([tmp_path]) == [file]
    file.unlink()
    assert run(tmp_path) == 1
    assert "holds no capture" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["FILE", "--json"],
        ["--json", "FILE"],
        ["--json", "--", "FILE"],
        ["--json", "--file", "FILE"],
    ],
)
def test_a_capture_is_named_by_a_bare_word(file: Path, words: list[str]):
    told = invoke(*(str(file) if word == "FILE" else word for word in words))
    assert json.loads(told.stdout)["files"] == [str(file)]
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "Usage: "),
        (["--bogus"], "No idea what '--bogus' is!"),
        (["/nowhere/a.pcap"], "/nowhere/a.pcap: cannot be read: it is not there; "),
        # nobody listens for ten seconds to learn that
        (
            ["--html", "/nowhere/a.html"],
            "/nowhere/a.html: cannot be written: /nowhere is no folder",
        ),
    ],
)
def test_a_flag_is_no_capture_and_a_wrong_name_is_said_first(words: list[str], expected: str):
    told = invoke(*words)
    assert (told.stderr or told.stdout).startswith(expected)
    assert len(told.stderr.splitlines()) <= 1


def test_a_page_is_no_folder(file: Path, tmp_path: Path, capsys):
    assert run(file, html=str(tmp_path)) == 1
    assert f"{tmp_path}: cannot be written: it is a folder" in capsys.readouterr().err


def test_a_file_named_twice_is_read_once(file: Path, tmp_path: Path):
    other = tmp_path / "same.pcapng"
    other.symlink_to(file)
    assert craft.report(file, other) == craft.report(file)


def test_no_file_is_said_to_be_none():
    with pytest.raises(TwinstackError, match="has nothing to read"):
        craft.report()


def test_rotated_files_of_one_interface_are_one(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask().close()
    frames = connection.frames()
    whole = craft.pcapng(tmp_path / "whole", frames, [Port("br-app")])
    parts = [
        craft.pcapng(tmp_path / f"part{at}", frames[at : at + 3], [Port("br-app")])
        for at in range(0, len(frames), 3)
    ]
    found = craft.report(*reversed(parts))
    assert replace(found, files=()) == replace(craft.report(whole), files=())


def bounded(monkeypatch: pytest.MonkeyPatch, packets: int, most: int) -> None:
    from twinstack.observe.traffic import analysis, pcap

    monkeypatch.setattr(pcap, "BATCH_PACKETS", packets)
    monkeypatch.setattr(analysis, "PIECE_BYTES", 1 << 16)
    monkeypatch.setattr(flow_table, "MAX_FLOWS", most)


def test_a_full_table_lets_silent_flows_go_and_counts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    packets = []
    for port in range(1000, 1400):
        packets += Connection(craft.GATEWAY, craft.PRODUCT, 5000, port).open().ask().close().sent
    file = craft.pcap(tmp_path / "a.pcap", craft.spaced(map(ethernet, packets)))
    whole = craft.report(file)
    bounded(monkeypatch, 16, 64)
    held: list[int] = []
    enter = flow_table.FlowTable.half_flows

    def watched(self, batch):
        found = enter(self, batch)
        held.append(self.count)
        return found

    monkeypatch.setattr(flow_table.FlowTable, "half_flows", watched)
    found = craft.report(file)
    assert max(held) <= 64
    assert found.packets == whole.packets == len(packets)
    (one,), (expected,) = found.pairs, whole.pairs
    assert (one.packets_there, one.bytes_back) == (expected.packets_there, expected.bytes_back)
    assert one.connections >= expected.connections
    assert sum(http.count for http in found.http) == 400


def test_pairs_without_end_lose_their_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(totals, "MAX_PAIRS", 5)
    segments = [craft.tcp(40000, port, SYN, seq=port) for port in range(1, 50)]
    frames = [ethernet(craft.ipv4(craft.ORDER, craft.REDIS, 6, one)) for one in segments]
    found = craft.report(craft.pcap(tmp_path / "a.pcap", craft.spaced(frames)))
    assert len(found.pairs) == 6
    assert found.packets == sum(one.packets for one in found.pairs) == 49
    assert any("without their ports" in note for note in found.notes)


def test_addresses_without_end_are_left_out_of_the_talkers(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(totals, "MAX_TALKERS", 10)
    frames = [
        ethernet(
            craft.ipv4(f"203.0.113.{number}", craft.NGINX, 17, craft.udp(9, 53, bytes(number)))
        )
        for number in range(1, 60)
    ]
    found = craft.report(craft.pcap(tmp_path / "a.pcap", craft.spaced(frames)))
    assert found.talkers[0].address == "203.0.113.59"
    assert any("left out of the talkers" in note for note in found.notes)


def test_time_is_told_in_steps_that_grow(tmp_path: Path):
    packets = [
        Connection(craft.NGINX, craft.GATEWAY, 3000).send(0, ACK, bytes([n])) for n in range(50)
    ]
    frames = [
        Frame(ethernet(one), START_NS + number * 60_000_000_000)
        for number, one in enumerate(packets)
    ]
    found = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert len(found.moments) <= 240
    assert sum(one.packets for one in found.moments) == 50
    assert found.seconds == 49 * 60
    assert found.step_s * len(found.moments) >= found.seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 B"),
        (9999, "9999 B"),
        (10_000, "10.0 kB"),
        (123_456, "123 kB"),
        (5_500_000, "5.5 MB"),
        (10**15, "1 PB"),
        (10**18, "1000 PB"),
    ],
)
def test_bytes_are_readable(value: int, expected: str):
    assert size(value) == expected


@pytest.mark.parametrize(
    ("us", "expected"),
    [(0.4, "0 µs"), (999, "999 µs"), (1500, "1.5 ms"), (250_000, "250 ms"), (2_500_000, "2.5 s")],
)
def test_times_are_readable(us: float, expected: str):
    assert duration(us) == expected


@pytest.mark.parametrize("value", [0, 1, 2, 1000, 123_456, 10**9, 2**62, -5])
def test_one_value_and_many_fall_into_the_same_bucket(value: int):
    import numpy as np

    assert bucket_of(value) == buckets_of(np.array([value]))[0]


def test_a_spread_is_within_its_promise():
    values = [1000 * number for number in range(1, 1001)]
    found = percentiles(
        {
            bucket: sum(1 for one in values if bucket_of(one) == bucket)
            for bucket in {bucket_of(one) for one in values}
        }
    )
    assert found is not None
    assert found.count == 1000
    assert found.median_us == pytest.approx(500, rel=0.023)
    assert found.p99_us == pytest.approx(990, rel=0.023)
    assert percentiles({}) is None


def test_sections_without_rows_are_left_out(tmp_path: Path):
    frame = Frame(ethernet(craft.arp(craft.NGINX, craft.HOST), 0x0806))
    found = craft.report(craft.pcap(tmp_path / "a.pcap", [frame]))
    assert [one.key for one in sections(found)] == ["pairs", "protocols", "talkers", "interfaces"]


def test_many_files_are_read_in_small_pieces(file: Path, tmp_path: Path, monkeypatch):
    asked: list[int] = []
    read: Callable[..., Iterator[RecordBatch]] = capture_file.CaptureFile.batches

    def watched(self, piece_bytes: int = capture_file.PIECE_BYTES):
        asked.append(piece_bytes)
        return read(self, piece_bytes)

    monkeypatch.setattr(capture_file.CaptureFile, "batches", watched)
    copies = []
    for number in range(8):
        copies.append(tmp_path / f"{number}.pcapng")
        copies[-1].write_bytes(file.read_bytes())
    found: TrafficReport = craft.report(file, *copies)
    assert [one.packets for one in found.places] == [craft.report(file).places[0].packets] * 9
    assert max(asked[:18]) <= capture_file.PIECE_BYTES // 8
