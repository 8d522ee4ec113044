"""Errors read *object: failure: cause; remedy*, one line each."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinstack.errors import (
    CannotTell,
    Locked,
    Missing,
    NotHealthy,
    NotOurs,
    SeveralFailed,
    StepFailed,
    TopologyError,
    TwinstackError,
    raise_all,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            TwinstackError("veth a", "cannot be made", "busy", "remove it"),
            "veth a: cannot be made: busy; remove it",
        ),
        (TwinstackError("veth a", "cannot be made", "busy"), "veth a: cannot be made: busy"),
        (
            TwinstackError("veth a", "cannot be made", "", "remove it"),
            "veth a: cannot be made; remove it",
        ),
        (TwinstackError("veth a", "cannot be made"), "veth a: cannot be made"),
    ],
)
def test_an_error_reads_object_failure_cause_remedy(error: TwinstackError, text: str):
    assert text == str(error)


@given(st.text(min_size=1), st.text(min_size=1), st.text(), st.text())
def test_an_error_is_always_one_line(obj: str, failure: str, cause: str, remedy: str):
    assert len(str(TwinstackError(obj, failure, cause, remedy)).splitlines()) <= 1


def test_a_topology_error_has_a_line_for_each_mistake_and_their_number():
    mistakes = [TwinstackError("a.b", "is missing", "", "add it"), TwinstackError("c", "is\nodd")]
    error = TopologyError("topology.yml", mistakes, ["14:11", ""])
    assert str(error).splitlines() == [
        "topology.yml:14:11: a.b: is missing; add it",
        "topology.yml: c: is odd",
        "topology.yml: 2 mistakes: nothing was done; correct them, run again",
    ]
    assert error.obj == "a.b"


def test_a_topology_error_of_one_mistake_is_one_line():
    error = TopologyError("topology.yml", [TwinstackError("", "cannot be read", "it is not there")])
    assert str(error) == "topology.yml: cannot be read: it is not there"


def test_several_failures_are_all_named():
    error = SeveralFailed("clean", [StepFailed("a", "stays"), OSError("b stays too")])
    assert str(error).splitlines() == ["clean: 2 steps failed", "  a: stays", "  b stays too"]


@pytest.mark.parametrize(
    "kind", [TwinstackError, NotOurs, Missing, Locked, StepFailed, NotHealthy, CannotTell]
)
def test_an_error_survives_the_way_out_of_a_child(kind: type[TwinstackError]):
    there = pickle.loads(pickle.dumps(kind("object", "failure", "cause", "remedy")))
    assert (kind, "object: failure: cause; remedy") == (type(there), str(there))


def test_every_error_of_ours_is_caught_as_one():
    kinds = (
        NotOurs,
        Missing,
        Locked,
        StepFailed,
        NotHealthy,
        CannotTell,
        TopologyError,
        SeveralFailed,
    )
    assert all(issubclass(kind, TwinstackError) for kind in kinds)


def test_one_failure_is_raised_as_it_is_and_several_together():
    link, rule = StepFailed("link a", "stays"), StepFailed("rule b", "stays")
    raise_all("net.down", [])
    with pytest.raises(StepFailed, match="link a: stays"):
        raise_all("net.down", [link])
    with pytest.raises(SeveralFailed, match="2 steps failed"):
        raise_all("net.down", [link, rule])
