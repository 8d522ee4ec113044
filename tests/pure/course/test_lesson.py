"""A lesson chooses steps of the plan by their names."""

from __future__ import annotations

import pytest

from tests.support.connection_cases import PLAN
from twinstack.course.lesson import Lesson, Part, assigned, the_lesson, written
from twinstack.errors import WrongUse
from twinstack.namespaces.steps import network_steps

STEPS = network_steps(PLAN)


def chosen(*patterns: str) -> list[str]:
    lesson = Lesson(1, "One", (Part("a part", patterns),))
    return [step.name for each in assigned(lesson, PLAN, STEPS) for step in each.steps]


def test_a_part_names_steps_as_the_plan_does():
    assert chosen("namespace order-service") == ["namespace order-service"]


def test_a_star_stands_for_any_rest():
    assert set(chosen("veth ve-product*")) == {
        "veth ve-product",
        "veth ve-product-2",
        "veth ve-product-3",
    }


def test_a_step_is_chosen_once():
    assert chosen("bridge br-app", "bridge *") == ["bridge br-app"]


def test_a_chain_is_named_by_its_suffix_in_any_instance():
    (name,) = chosen("rules filter INTO")
    assert PLAN.instance in name


def test_what_the_topology_lacks_is_named():
    with pytest.raises(WrongUse, match=r"lesson 1: cannot be taught: .* no veth ve-nobody"):
        chosen("veth ve-nobody")


def test_an_unknown_day_is_refused_with_those_there_are():
    lessons = [Lesson(day, "A day", ()) for day in (2, 1)]
    assert the_lesson(lessons, 2) is lessons[0]
    with pytest.raises(WrongUse, match="there are 1, 2"):
        the_lesson(lessons, 3)


def test_a_command_may_name_what_the_plan_decides():
    command = "{enter} ping {order-service.address} # {instance} {{}}"
    replica = PLAN.replica("order-service")
    expected = f"nsenter ping {replica.address} # {PLAN.instance} {{}}"
    assert written(PLAN, command, "nsenter") == expected
