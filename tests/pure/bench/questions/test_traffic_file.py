"""The file to measure with is a sound capture of declared flows."""

from __future__ import annotations

from pathlib import Path

from bench.questions import traffic_file
from tests.support import craft
from tests.support.bench_fakes import PLAN


def test_the_file_is_whole_and_holds_declared_flows_only(tmp_path: Path):
    written = traffic_file.write(tmp_path / "a.pcap", PLAN, 300_000, seed=1)
    assert (tmp_path / "a.pcap").stat().st_size == written.bytes + 24
    report = craft.report(written.path)
    assert craft.tshark_counts(written.path)[0] == report.packets == written.packets
    assert sum(pair.connections for pair in report.pairs) == written.connections
    assert {pair.verdict for pair in report.pairs} == {"declared"}
    assert sum(pair.resent for pair in report.pairs) == 0
    odd = "tcp.analysis.flags && !tcp.analysis.reused_ports"
    assert craft.tshark_matching(written.path, odd) == 0
    assert sum(http.count for http in report.http if http.status == 200) == 2 * written.connections
