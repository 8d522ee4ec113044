"""Files are read once, in small pieces; the report does not depend on the pieces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import ACK, Connection, Interface, sighted
from tests.support.traffic_cases import example
from twinstack.errors import TwinstackError
from twinstack.observe.traffic import analysis
from twinstack.observe.traffic.capture_file import PIECE_BYTES, CaptureFile


def test_a_file_named_twice_is_read_once(tmp_path: Path):
    file, other = example(tmp_path), tmp_path / "same.pcapng"
    other.symlink_to(file)
    assert craft.report(file, other) == craft.report(file)


def test_no_file_is_an_error():
    with pytest.raises(TwinstackError, match="has nothing to read"):
        craft.report()


def test_many_files_are_read_in_small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pieces: list[int] = []
    read = CaptureFile.batches

    def watched(self: CaptureFile, piece_bytes: int = PIECE_BYTES):
        pieces.append(piece_bytes)
        return read(self, piece_bytes)

    monkeypatch.setattr(CaptureFile, "batches", watched)
    file = example(tmp_path)
    copies = [tmp_path / f"{number}.pcapng" for number in range(8)]
    for copy in copies:
        copy.write_bytes(file.read_bytes())
    report = craft.report(file, *copies)
    assert max(pieces) <= PIECE_BYTES // 8
    packets = craft.report(file).places[0].packets
    assert [interface.packets for interface in report.places] == [packets] * 9


@pytest.mark.parametrize("piece", [2000, 9000])
def test_a_report_does_not_depend_on_where_batches_end(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    packets = []
    for client_port in range(40000, 40030):
        connection = Connection(craft.GATEWAY, craft.PRODUCT, 5000, client_port).open().ask()
        for again in (0, 0, 200, 200):
            connection.send(0, ACK, b"x" * 100, again=again)
            connection.seq[0] += 100 if again else 0
        connection.seq[0] -= 200
        packets += [packet[:4] + b"\0\0" + packet[6:] for packet in connection.close().sent]
    interfaces = [Interface("ve-a"), Interface("br-app"), Interface("ve-b")]
    file = craft.pcapng(tmp_path / "a", sighted(packets, 3), interfaces)
    whole = craft.report(file)
    monkeypatch.setattr(analysis, "PIECE_BYTES", piece)
    monkeypatch.setattr(analysis, "_LEAST_PIECE", piece)
    assert craft.report(file) == whole
    assert whole.packets == len(packets)
    assert craft.pair(whole, "api-gateway", "product-service").resent == 60


def test_damage_is_among_the_notes(tmp_path: Path):
    file = example(tmp_path)
    file.write_bytes(file.read_bytes()[:-10])
    (note,) = craft.report(file).notes
    assert note.startswith(f"{file}: read up to byte ")
    assert replace(craft.report(file), notes=()).packets > 0
