"""Planted causes: what they replace is what the plan renders, and all of it is put back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.questions import causes
from bench.questions.causes import CAUSES, EdgeDirectives, parse_snmp, planted
from bench.questions.symptoms import SYMPTOMS
from tests.support.bench_fakes import PLAN
from twinstack.errors import StepFailed
from twinstack.software.configs import nginx_conf


def test_each_symptom_has_a_cause_that_can_be_planted() -> None:
    assert [cause.name for cause in CAUSES] == [symptom.cause for symptom in SYMPTOMS]


@pytest.mark.parametrize(
    "cause", [each for each in CAUSES if isinstance(each, EdgeDirectives)], ids=lambda e: e.name
)
def test_what_a_cause_replaces_is_in_the_rendered_file_once(cause: EdgeDirectives) -> None:
    text = nginx_conf(PLAN, PLAN.replicas_of("nginx-lb")[0])
    edited = text
    for original, new in cause.edits:
        assert edited.count(original) == 1
        edited = edited.replace(original, new)
    for original, new in cause.edits:
        edited = edited.replace(new, original)
    assert edited == text


def test_counters_are_read_by_protocol_and_name() -> None:
    text = "Tcp: ActiveOpens PassiveOpens\nTcp: 7 9\nUdp: InDatagrams OutDatagrams\nUdp: 1 2\n"
    assert parse_snmp(text)["Tcp", "PassiveOpens"] == 9
    assert parse_snmp(text)["Udp", "OutDatagrams"] == 2


class Noted:
    """A cause that notes what is done with it."""

    name = "noted"

    def __init__(self, holds: bool = True) -> None:
        self.holds, self.done, self.there = holds, [""][1:], False

    def plant(self, place: Any) -> dict[int, str]:
        self.done.append("plant")
        self.there = self.holds
        return {1: "programs"}

    def restore(self, place: Any) -> None:
        self.done.append("restore")
        self.there = False

    def is_there(self, place: Any) -> bool:
        return self.there


PLACE: Any = SimpleNamespace()


def test_a_cause_is_taken_away_also_when_the_work_fails() -> None:
    cause = Noted()

    def work() -> None:
        with planted(PLACE, cause) as parts:
            assert parts == {1: "programs"}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert cause.done == ["plant", "restore"]


def test_a_cause_that_does_not_hold_is_an_error_and_is_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(causes, "_BOUND_S", 0.0)
    cause = Noted(holds=False)
    with (
        pytest.raises(StepFailed, match="noted: cannot be planted"),
        planted(PLACE, cause),
    ):
        pass
    assert cause.done == ["plant", "restore"]
