"""An own step's looks, undo and claims are written over its fields, as its commands are."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from twinstack.course.own_step import OwnStep


@dataclass(frozen=True, slots=True)
class _Link(OwnStep):
    link: str
    NAME = "link {0.link}"
    COMMANDS = ("ip link add {0.link} type dummy",)
    LOOKS = ("ip -j link show dev {0.link}",)
    UNDO = ("ip link delete {0.link}",)
    CLAIMS = ("/sys/class/net/{0.link}",)


def test_each_template_is_filled_in() -> None:
    step = _Link("l0")
    assert (step.name, step.commands) == ("link l0", ("ip link add l0 type dummy",))
    assert step.looks == ("ip -j link show dev l0",)
    assert step.undo == ("ip link delete l0",)
    assert step.claims == ("/sys/class/net/l0",)
    assert step.sysctls == ()


def test_a_step_without_a_judgement_is_a_mistake_in_the_lesson() -> None:
    with pytest.raises(NotImplementedError):
        _Link("l0").difference({})
