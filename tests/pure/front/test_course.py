"""The course's tasks say what is there, what differs, and what comes next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from invoke.context import Context

from front import course
from twinstack.course.check import LessonState, PartReport
from twinstack.course.session import LessonReport

DONE = PartReport("order-service's namespace", True)
LEFT = PartReport("order-service's veth pair", False, ("ve-order is up but not on br-app",))


def report(
    *parts: PartReport, rest: tuple[str, ...] = (), waiting: tuple[str, ...] = ()
) -> LessonReport:
    return LessonReport(1, "By hand", "Ada", LessonState(parts, rest, waiting), 2, 3.0, {}, False)


def test_each_part_is_a_line_with_its_number_and_what_differs():
    lines = course.report_text(report(DONE, LEFT)).splitlines()
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "1 order-service's namespace ok",
        "2 order-service's veth pair no ve-order is up but not on br-app",
    ]


def test_a_complete_lesson_names_what_may_start():
    text = course.report_text(report(DONE, waiting=("order-service",)))
    assert "Day 1 is complete." in text
    assert '"invoke net.restart order-service"' in text


def test_what_the_lesson_does_not_teach_has_a_way_back():
    text = course.report_text(report(DONE, rest=("br-app is absent",)))
    assert "- br-app is absent" in text
    assert "invoke course.catchup 1" in text
    assert "complete" not in text


def test_a_day_is_a_number(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        course.course_start(Context(), "two")
    assert left.value.code == 64
    assert "two: is no number" in capsys.readouterr().err


def test_a_grade_has_the_name_that_the_teacher_gives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    class Fake:
        def report(self) -> LessonReport:
            return replace(report(DONE, LEFT), student="")

    monkeypatch.setattr(course, "_course", Fake)
    with pytest.raises(SystemExit) as left:
        course.course_grade(Context(), student="Grace")
    assert left.value.code == 1
    assert capsys.readouterr().out == "Grace: day 1, 1 of 2 parts, 2 checks, 3.0 minutes\n"
