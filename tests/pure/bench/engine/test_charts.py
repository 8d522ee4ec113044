"""A chart shows what the document says: order, openness, sums, disturbed windows."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.engine import charts, result
from bench.engine.arm import CPU, STRANGERS, Bound, Contrast
from bench.engine.charts import Axis
from tests.support.bench_fakes import measured, window, windows

COST = Contrast("docker", "namespaces")
ARMS = {"namespaces": 4_000, "docker": 3_800}


def document(**fields: Any) -> dict[str, Any]:
    return result.fields(measured(ARMS, [COST], **fields))


def centres(svg: str) -> list[float]:
    return [float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', svg)]


def test_more_lies_to_the_right_of_the_zone_and_less_to_its_left() -> None:
    svg = charts.forest(document())
    more, less = centres(svg)
    zone = re.search(r'class="zone" x="([\d.]+)" y="0" width="([\d.]+)"', svg)
    assert zone is not None
    left, width = map(float, zone.groups())
    assert less < left < left + width < more
    assert "docker over namespaces" in svg


def test_a_ratio_that_is_left_open_is_hollow_and_a_bound_is_marked() -> None:
    alike = measured({"namespaces": 4_000, "docker": 4_000}, [COST])
    assert 'class="point open"' in charts.forest(result.fields(alike))
    assert 'class="bound"' not in charts.forest(document())
    assert 'class="bound"' in charts.forest(document(bounds=(Bound(COST, CPU, 1.1),)))


def test_the_bars_of_a_waterfall_end_where_all_of_it_ends() -> None:
    spans = {"services": 6.0, "left over": -2.0, "all": 4.0}
    ledger = {part: {"estimate": x, "low": x - 1, "high": x + 1} for part, x in spans.items()}
    svg = charts.waterfall({"ledger": {**ledger, "dockerd": dict.fromkeys(ledger["all"], 0.0)}})
    bars = re.findall(r'class="(bar[^"]*)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    assert [kind for kind, _, _ in bars] == ["bar", "bar less", "bar all"]
    (_, zero, up), (_, low, down), (_, start, whole) = bars
    assert float(zero) == float(start)
    assert float(low) + float(down) == pytest.approx(float(zero) + float(up), abs=0.2)
    assert float(low) == pytest.approx(float(start) + float(whole), abs=0.2)
    assert "dockerd" not in svg  # a part that spends nothing is no row


def test_the_causes_of_a_gap_lead_from_all_of_it_to_what_is_left() -> None:
    logs = {"as it ran": 0.4, "quota": 0.3, "servers": -0.05, "causes away": 0.15}
    found = {name: {"estimate": x, "low": x - 0.1, "high": x + 0.1} for name, x in logs.items()}
    svg = charts.shares(found)
    bars = re.findall(r'class="(bar[^"]*)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    assert [kind for kind, _, _ in bars] == ["bar all", "bar less", "bar", "bar all"]
    (whole, quota, servers, left) = ((float(x), float(x) + float(wide)) for _, x, wide in bars)
    assert whole[0] == left[0]  # both begin at no gap
    assert quota[1] == pytest.approx(whole[1], abs=0.2)
    assert servers[0] == pytest.approx(quota[0], abs=0.2)
    assert servers[1] == pytest.approx(left[1], abs=0.2)
    assert "×1.35 [1.22, 1.49]" in svg
    ElementTree.fromstring(svg)


def test_every_window_is_drawn_and_a_busy_one_apart() -> None:
    made = [*windows(ARMS), window("docker", 7, 19, parts_us={STRANGERS: 1e6})]
    svg = charts.over_time(made, cores=2)
    dots = dict(re.findall(r'class="(dots[^"]*)" d="([^"]*)"', svg))
    assert dots["dots busy"].count("M") == 1
    assert sum(map(len, re.findall(r"h0", svg))) / 2 == len(made)
    assert svg.count("<title>deployment ") == 7


def test_a_distribution_has_a_curve_for_each_arm() -> None:
    svg = charts.ecdf(windows(ARMS))
    assert svg.count("<title>docker</title>") == svg.count("<title>namespaces</title>") == 1
    assert "median 1,9" in svg


def test_names_are_escaped_and_the_drawing_is_well_formed() -> None:
    odd = measured({"a<b": 4_000, "c&d": 3_900}, [Contrast("a<b", "c&d")])
    drawn = result.fields(odd)
    for svg in (
        charts.forest(drawn),
        charts.waterfall(drawn["contrasts"][0]),
        charts.over_time(odd.windows, 2),
        charts.ecdf(odd.windows),
    ):
        ElementTree.fromstring(svg)


def test_an_axis_names_few_round_values() -> None:
    assert Axis(0, 60).round_values() == [0, 10, 20, 30, 40, 50, 60]
    assert len(Axis(-3.1, 21.7).round_values()) <= 7
    assert Axis(5, 5).at(5) == Axis(0, 1).at(0)


def test_windows_without_ratios_of_cpu_time_show_their_rates() -> None:
    idle = window("docker", 7, 19, parts_us={"services": 0.0})  # less than at rest
    assert "requests per second; strips" in charts.over_time([*windows(ARMS), idle], cores=2)
    assert "CPU time per request; strips" in charts.over_time(windows(ARMS), cores=2)


def test_a_waterfall_names_services_only_where_they_add_up() -> None:
    def span(value: float) -> dict[str, float]:
        return {"estimate": value, "low": value - 1, "high": value + 1}

    contrast = {"ledger": {"services": span(6), "all": span(6)}}
    adding = {"nginx-lb": span(4), "api-gateway": span(2)}
    named = charts.waterfall({**contrast, "services": adding})
    assert "api-gateway" in named
    assert ">services<" not in named
    assert ">services<" in charts.waterfall({**contrast, "services": {"nginx-lb": span(4)}})
