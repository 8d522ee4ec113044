"""A result says what its intervals allow, in parts that add up, and what disturbed it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.engine import result
from bench.engine.arm import CPU, RATE, SERVICES_CPU, Bound, Contrast
from tests.support.bench_fakes import measured, window, windows

COST = Contrast("docker", "namespaces")
ARMS = {"namespaces": 4_000, "docker": 3_800}


def test_the_services_add_up_to_their_part_of_the_ledger() -> None:
    ended = measured(ARMS, [COST])
    services = ended.services(COST)
    assert list(services) == ["nginx-lb", "product-service"]  # of its replica 2
    whole = ended.ledger(COST)["services"].estimate
    assert sum(of.estimate for of in services.values()) == pytest.approx(whole)
    assert "\n  product-service  " in result.ledger(ended, COST)
    waterfall = ended.waterfall(COST)
    assert waterfall.rest == pytest.approx(0, abs=1e-6)
    assert waterfall.last[1] > waterfall.first[1] == pytest.approx(100, abs=1)


def test_bounds_hold_when_the_far_end_is_inside() -> None:
    least, most = Bound(COST, RATE, 0.9, least=True), Bound(COST, CPU, 1.01)
    ended = measured(ARMS, [COST], bounds=(least, most))
    assert (ended.holds(least), ended.holds(most)) == ("holds", "fails")
    assert ended.exit_code == 1
    assert "0.9 times: holds" in result.text(ended)


def test_the_text_fits_80_columns_and_opens_with_the_answer() -> None:
    text = result.text(measured(ARMS, [COST]), ["A note."])
    assert max(map(len, text.splitlines())) <= 80
    assert "docker over namespaces, CPU time per request: " in text.split("\n\n")[1]
    assert text.endswith("A note.")


def test_with_more_quantities_a_contrast_has_a_row_for_each() -> None:
    name = "product services alone"
    far = Contrast(name, "namespaces")
    ended = measured(ARMS | {name: 900}, [far], quantities=(CPU, RATE, SERVICES_CPU))
    drawn = result.contrasts(ended).splitlines()
    assert max(map(len, drawn)) <= 80
    assert [line.split("  ")[0] for line in drawn[2:]] == [str(far), "", ""]
    assert all(
        quantity.name in line for quantity, line in zip(ended.quantities, drawn[2:], strict=True)
    )


def test_a_note_of_several_lines_is_a_table_and_keeps_them() -> None:
    assert result.text(measured(ARMS, [COST]), ["a  b\n1  2"]).endswith("a  b\n1  2")


def test_a_busy_machine_is_said_with_the_verdict() -> None:
    assert "BUSY" in result.verdict_line(measured(ARMS, [COST], busy=3))
    assert "repeated: others" in result.verdict_line(measured(ARMS, [COST], repeated=2))


def test_an_interrupted_run_keeps_its_windows_without_a_verdict() -> None:
    few = tuple(window(arm) for arm in ARMS)
    end = {"stopped": "interrupted", "broken": "stopped by Ctrl-C", "code": 130}
    broken = measured(ARMS, [COST], windows=few, **end)
    assert "INTERRUPTED: stopped by Ctrl-C" in result.text(broken)
    document = result.fields(broken)
    assert (document["verdict"], document["contrasts"]) == (None, [])
    assert len(document["windows"]) == 2
    assert broken.exit_code == 130


def test_failed_requests_are_said_and_fail_the_task() -> None:
    few = tuple(window(arm, failed=1) for arm in ARMS)
    assert "2 requests FAILED" in result.text(measured(ARMS, [COST], windows=few))
    assert measured(ARMS, [COST], windows=few).exit_code == 1


def test_a_machine_too_busy_for_a_ratio_gives_no_verdict_and_no_traceback() -> None:
    less = windows(ARMS)
    spoiled = tuple(replace(window, rest_us={"left over": 1e9}) for window in less)
    ended = measured(ARMS, [COST], windows=spoiled)
    assert "No verdict: paired samples: have no ratio" in result.text(ended)
    assert result.fields(ended)["verdict"] is None
    assert (ended.half_widths(), ended.exit_code) == ({}, 2)


def test_an_arm_too_short_for_a_ratio_leaves_the_questions_own_verdict() -> None:
    short = Contrast("docker, ab", "docker")
    all_ = windows({**ARMS, "docker, ab": 3_700})
    spoiled = tuple(
        replace(window, rest_us={"left over": 1e9}) if window.arm == short.first else window
        for window in all_
    )
    ended = measured(ARMS, [COST, short], windows=spoiled, bounds=(Bound(short, CPU, 1.01),))
    assert ended.verdict.word == "more"
    assert ended.holds(ended.bounds[0]) == "cannot tell"
    assert "cannot tell" in result.contrasts(ended)
    _, other = result.fields(ended)["contrasts"]
    assert list(other["ratios"]) == ["rate"]


def test_a_line_of_progress_stays_a_line() -> None:
    assert result.brief([window("a"), window("b"), window("a")]) == "a 2,000/s  b 2,000/s"
    assert result.brief([window(f"place {number}") for number in range(40)]) == "40 arms"


def test_the_opening_says_where_arms_took_turns() -> None:
    alone = measured(ARMS, [COST])
    assert "in turns" not in result.opening(alone)
    turns = replace(alone, design=replace(alone.design, runs=5))
    assert "windows of 2 s in turns of 0.4 s, seed" in " ".join(result.opening(turns).split())
