"""Percentiles are within their promise; time is divided into steps that grow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import craft
from tests.support.craft import ACK, START_NS, Connection, Frame, ethernet
from twinstack.observe.traffic.histogram import bucket_of, buckets_of, percentiles


@pytest.mark.parametrize("value", [0, 1, 2, 1000, 123_456, 10**9, 2**62, -5])
def test_one_value_and_many_fall_into_the_same_bucket(value: int):
    assert bucket_of(value) == buckets_of(np.array([value]))[0]


def test_percentiles_are_within_their_promise():
    values = [1000 * number for number in range(1, 1001)]
    summary = percentiles(
        {
            bucket: sum(1 for value in values if bucket_of(value) == bucket)
            for bucket in {bucket_of(value) for value in values}
        }
    )
    assert summary is not None
    assert summary.count == 1000
    assert summary.median_us == pytest.approx(500, rel=0.023)
    assert summary.p99_us == pytest.approx(990, rel=0.023)
    assert percentiles({}) is None


def test_time_has_steps_that_grow(tmp_path: Path):
    packets = [
        Connection(craft.NGINX, craft.GATEWAY, 3000).send(0, ACK, bytes([n])) for n in range(50)
    ]
    frames = [
        Frame(ethernet(packet), START_NS + number * 60_000_000_000)
        for number, packet in enumerate(packets)
    ]
    report = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert len(report.moments) <= 240
    assert sum(step.packets for step in report.moments) == 50
    assert report.seconds == 49 * 60
    assert report.step_s * len(report.moments) >= report.seconds
