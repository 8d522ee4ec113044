"""The rungs' sum against the whole, and the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bench.engine.measured import Measured
from bench.questions import ladder
from bench.questions.rungs import course, report
from bench.questions.rungs.course import DOWN, KINDS, UP, WHOLE, Edge
from bench.questions.rungs.report import Climbed
from tests.support import bench_fakes

EDGES = [WHOLE, *course.edges(), Edge("side", "unix socket", "unix socket", "loopback")]


def climbed(cost_us: Mapping[str, float], interaction_us: float = 0.0) -> Measured:
    """Give windows in which a request costs 20 µs and what its rungs cost.

    Routing costs more by an interaction where seccomp is.
    """
    windows, settings = [], {**course.settings(), "unix socket": frozenset[str]()}
    for deployment in range(1, 4):
        names = ladder.order(EDGES, (), seed=deployment)
        for block in range(count := len(course.blocks(EDGES))):
            for arm in next(names):
                setting = settings[arm.rsplit(", ", 1)[0]]
                us = 20 + sum(cost_us.get(rung, 1.0) for rung in setting)
                us += interaction_us * ({"seccomp", "routed"} <= setting) + deployment
                figures = {"cpu_us": us * 1000, "time_us": us}
                number = deployment * count + block
                windows.append(
                    bench_fakes.window(
                        arm,
                        deployment,
                        number,
                        done=1000,
                        seconds=us / 1000,
                        figures=figures,
                        rest_us={},
                    )
                )
    contrasts = [edge.contrast(kind) for edge in EDGES for kind in KINDS]
    return bench_fakes.measured({}, contrasts, windows=tuple(windows), quantities=report.QUANTITIES)


def of(measured: Measured, edges: Sequence[Edge] = EDGES) -> Climbed:
    return Climbed(measured, edges, {})


@pytest.mark.parametrize("way", [UP, DOWN])
def test_the_rungs_add_up_to_the_whole(way: str) -> None:
    total = of(climbed({"bridge": 5.0})).total(way, "kept", report.CPU)
    assert total.sum.estimate == pytest.approx(19.0)
    assert total.whole.estimate == pytest.approx(19.0)
    assert total.part == pytest.approx(0.0, abs=1e-9)


def test_a_rung_that_changes_anothers_cost_differs_up_and_down() -> None:
    measured = of(climbed({}, interaction_us=4.0))
    up, down = (
        {edge.rung: measured.extra(edge, "new", report.TIME).estimate for edge in measured.way(way)}
        for way in (UP, DOWN)
    )
    assert [up["routed"], down["routed"]] == pytest.approx([1.0, 5.0])
    assert [up["seccomp"], down["seccomp"]] == pytest.approx([5.0, 1.0])


def test_the_table_fits_a_terminal_and_names_each_rung_with_its_proof() -> None:
    proofs = {layer.name: "reader's bytes 31.6" for layer in course.LAYERS}
    lines = "\n".join(report.tables(Climbed(climbed({}), EDGES, proofs))).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("conntrack ") for line in lines) == len(KINDS) + 1  # and the legend
    assert any(line.startswith("left over") for line in lines)


def test_without_a_rung_there_is_no_sum() -> None:
    lines = "\n".join(report.tables(of(climbed({}), EDGES[1:-1])))
    assert "left over" not in lines
    assert report.fields(of(climbed({}), EDGES[1:]))["totals_us"] == {}
