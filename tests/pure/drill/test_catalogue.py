"""Every drill is whole: its fields are filled, and what its commands name is there."""

from __future__ import annotations

import string
from collections import Counter

import pytest

from tests.support.project import ROOT
from twinstack.drill.catalogue import DRILLS
from twinstack.drill.drill import Drill
from twinstack.drill.overlay_site import OverlaySite, SpreadPlace
from twinstack.drill.site import Place, Site
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import load

PLANS = {shape: resolve(load(ROOT / "topology.yml"), shape, "t") for shape in ("flat", "tiered")}
WORLDS = {"net", "docker", "overlay"}
each = pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)


def texts(drill: Drill) -> tuple[str, ...]:
    commands = (*drill.probes, *drill.put, *drill.repair, *drill.wrong, *drill.undo)
    return (*commands, *drill.hints, drill.symptom, drill.explanation)


def unknown(
    text: str, plan: Plan, *, targets: bool, place: type = Place, site: type = Site
) -> list[str]:
    """Name what stands in braces and is nothing that a site has."""
    replicas = {replica.name for replica in plan.replicas} | ({"target"} if targets else set())
    alone = {"instance"} | {name for name, member in vars(site).items() if not name.startswith("_")}
    found = []
    for _, field, _, _ in string.Formatter().parse(text):
        if field is None:
            continue
        name, _, attribute = field.partition(".")
        start, _, towards = name.partition("[")
        known = start in replicas and hasattr(place, attribute)
        known = known and towards.rstrip("]") in {"", *replicas}
        if not known and field not in alone:
            found.append(field)
    return found


def test_names_and_symptoms_are_unique() -> None:
    for told in ("name", "symptom"):
        counts = Counter(getattr(each, told) for each in DRILLS)
        assert [text for text, count in counts.items() if count > 1] == []


@each
def test_a_drill_says_all_that_a_student_and_a_teacher_need(drill: Drill) -> None:
    assert drill.level in range(1, 5)
    assert len(drill.hints) == 3
    filled = (drill.area, drill.symptom, drill.explanation, drill.refusal, *drill.hints)
    assert all(text.strip() for text in filled)
    assert all((drill.probes, drill.put, drill.repair, drill.wrong))
    assert drill.name not in drill.symptom


@each
def test_a_drill_is_for_worlds_shapes_and_replicas_that_there_are(drill: Drill) -> None:
    assert drill.worlds
    assert set(drill.worlds) <= WORLDS
    assert drill.shapes
    for shape in drill.shapes:
        names = {replica.name for replica in PLANS[shape].replicas}
        assert {*drill.targets, drill.restart} - {""} <= names


@each
def test_what_a_drill_names_in_braces_is_there(drill: Drill) -> None:
    spread = "overlay" in drill.worlds  # such a drill is for nothing else
    assert not spread or drill.worlds == ("overlay",)
    kinds: dict[str, type] = {"place": SpreadPlace, "site": OverlaySite} if spread else {}
    for shape in drill.shapes:
        for text in texts(drill):
            wrong = unknown(text, PLANS[shape], targets=bool(drill.targets), **kinds)
            assert wrong == [], text


def test_a_name_that_is_not_there_is_found() -> None:
    assert unknown("{order-servce.enter} {target.pid} {url}", PLANS["flat"], targets=False) == [
        "order-servce.enter",
        "target.pid",
    ]
    assert unknown("{nginx-lb[api-gateway].link} {{x}}", PLANS["flat"], targets=False) == []
