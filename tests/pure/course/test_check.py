"""A check says of each part, in a sentence, what differs and by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.connection_cases import PLAN
from tests.support.core_cases import satisfied
from twinstack.course.check import LessonState, PartReport, dependents, judged, sentence
from twinstack.course.lesson import Lesson, Part, assigned
from twinstack.namespaces.process_steps import ReplicaProcess
from twinstack.namespaces.steps import Rules, network_steps

STEPS = network_steps(PLAN)
FACTS = satisfied(STEPS)
LESSON = Lesson(
    1,
    "One",
    (
        Part("its namespace", ("namespace order-service",)),
        Part("its veth pair", ("veth ve-order",)),
        Part("an answer", question="Which port?", answer="echo 1"),
    ),
)
ASSIGNED = assigned(LESSON, PLAN, STEPS)


@pytest.mark.parametrize(
    ("name", "reason", "expected"),
    [
        ("veth ve-order", "is up but not on br-app", "ve-order is up but not on br-app"),
        ("veth ve-order", "eth0 inside is down", "ve-order: eth0 inside is down"),
        ("namespace redis-cache", "is absent", "namespace redis-cache is absent"),
        ("rules nat OUTPUT", "misses 1 rule", "rules nat OUTPUT misses 1 rule"),
        ("rules nat OUTPUT", "chain X is absent", "rules nat OUTPUT: chain X is absent"),
    ],
)
def test_a_difference_is_a_sentence(name: str, reason: str, expected: str):
    assert sentence(name, reason) == expected


def test_a_lesson_that_is_whole_is_complete():
    found = judged(ASSIGNED, STEPS, FACTS)
    assert found.complete
    assert [part.part for part in found.parts] == ["its namespace", "its veth pair", "an answer"]


def test_a_link_off_its_bridge_is_its_parts_difference_alone():
    link = replace(FACTS.links["ve-order"], master=None)
    found = judged(ASSIGNED, STEPS, replace(FACTS, links={**FACTS.links, "ve-order": link}))
    said = {part.part: part.differences for part in found.parts if not part.done}
    assert said == {"its veth pair": ("ve-order is up but not on br-app",)}
    assert found.rest == ()
    assert not found.complete


def test_what_the_lesson_does_not_teach_is_told_apart():
    links = {name: link for name, link in FACTS.links.items() if name != "ve-redis-cache"}
    found = judged(ASSIGNED, STEPS, replace(FACTS, links=links))
    assert all(part.done for part in found.parts)
    assert found.rest == ("ve-redis-cache is absent",)
    assert not found.complete


def test_the_rule_that_is_not_planned_is_quoted_and_the_missing_one_is_not():
    lesson = Lesson(1, "One", (Part("the way out", ("rules nat POSTROUTING",)),))
    chosen = assigned(lesson, PLAN, STEPS)
    (step,) = chosen[0].steps
    assert isinstance(step, Rules)
    planned = step.hook.lines[-1]
    wrong = planned.replace("10.0.0.0/24", "10.0.0.0/25")
    lines = tuple(wrong if line == planned else line for line in FACTS.owned.rules["nat"])
    facts = replace(FACTS, owned=replace(FACTS.owned, rules={**FACTS.owned.rules, "nat": lines}))
    (said,) = judged(chosen, STEPS, facts).parts[0].differences
    assert said.startswith("rules nat POSTROUTING misses 1 rule, has 1 rule too many: -A TS-")
    assert said.endswith("-s 10.0.0.0/25 -j MASQUERADE")


def test_what_no_step_says_is_said_of_its_part():
    found = judged(ASSIGNED, STEPS, FACTS, {"an answer": "Which port?"})
    assert found.parts[2] == PartReport("an answer", False, ("Which port?",))


def test_a_process_waits_for_the_namespace_that_the_student_makes():
    waits = ReplicaProcess("order-service", "/x", "cafe", "as written", "order-service")
    other = ReplicaProcess("redis-cache", "/x", "cafe", "as written", "redis-cache")
    assert dependents(ASSIGNED, [*STEPS, waits, other]) == (waits,)
    found = judged(ASSIGNED, [*STEPS, waits], FACTS)
    assert found.waiting == ("order-service",)
    assert found.rest == ()


def test_nothing_taught_is_nothing_left():
    assert LessonState(()).complete
