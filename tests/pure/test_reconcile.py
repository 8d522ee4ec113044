"""The engine takes only steps that differ, names the one that fails, and removes past failures."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from twinstack.errors import NotOurs, SeveralFailed, StepFailed, TwinstackError
from twinstack.reconcile import UNWATCHED, Change, Teardown, diff, run_step


@dataclass(frozen=True)
class Light:
    """A step: a light that is to be on."""

    name: str

    commands = ("switch on",)

    def difference(self, facts: frozenset[str]) -> str | None:
        return None if self.name in facts else "is off"


@dataclass
class Log:
    """A watch that notes what it sees, and may refuse a step."""

    refused: str = ""
    seen: list[str] = field(default_factory=list)

    def before(self, step: str) -> None:
        self.seen.append(f"before {step}")

    def during(self, step: str) -> None:
        if step == self.refused:
            raise _no_memory()

    def after(self, step: str) -> None:
        self.seen.append(f"after {step}")


def _no_memory() -> OSError:
    return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def _failing(error: Exception) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


def test_only_steps_that_differ_are_changes_in_their_order():
    lights = tuple(map(Light, "abc"))
    assert diff(lights, frozenset("b")) == (
        Change(Light("a"), "is off"),
        Change(Light("c"), "is off"),
    )


def test_a_step_is_seen_before_and_after():
    log = Log()
    with run_step(log, "bridge b"):
        log.seen.append("work")
    assert log.seen == ["before bridge b", "work", "after bridge b"]


def test_a_refused_system_call_is_an_error_that_names_the_step():
    with (
        pytest.raises(StepFailed, match="bridge b: cannot be made: Cannot allocate memory; wait"),
        run_step(UNWATCHED, "bridge b", "cannot be made", remedy="wait"),
    ):
        raise _no_memory()


def test_a_watch_can_make_a_step_fail_before_its_work():
    worked = False
    with pytest.raises(StepFailed, match="bridge b"), run_step(Log("bridge b"), "bridge b"):
        worked = True
    assert not worked


def test_our_own_errors_and_bugs_pass_as_they_are():
    for error in (NotOurs("bridge b", "is not ours"), ZeroDivisionError()):
        with pytest.raises(type(error)) as raised, run_step(UNWATCHED, "bridge b"):
            raise error
        assert raised.value is error


def test_errors_of_a_library_are_translated():
    def translate(error: Exception, name: str) -> TwinstackError | None:
        return StepFailed(name, "was refused") if isinstance(error, KeyError) else None

    with (
        pytest.raises(StepFailed, match="image i: was refused"),
        run_step(UNWATCHED, "image i", translate=translate),
    ):
        raise KeyError


def test_removal_continues_past_failures_and_reports_them_all():
    teardown = Teardown(remedy="again")
    assert not teardown.remove("link a", _failing(_no_memory()))
    assert teardown.remove("link b", lambda: None)
    assert not teardown.tidy("cgroups", _failing(ValueError("odd")))
    assert teardown.removed == ["link b"]
    with pytest.raises(SeveralFailed, match=r"link a: cannot be removed: .*; again"):
        teardown.finish("net.down")


def test_a_single_failure_is_raised_as_it_is():
    teardown = Teardown()
    teardown.remove("link a", _failing(StepFailed("link a", "stays")))
    with pytest.raises(StepFailed, match="link a: stays"):
        teardown.finish("net.down")


def test_an_object_that_is_gone_already_is_neither_failed_nor_removed():
    teardown = Teardown(gone=(LookupError,))
    assert teardown.remove("image i", _failing(KeyError()))
    assert teardown.finish("down") == ()


def test_a_removal_may_report_what_it_removed_itself():
    teardown = Teardown()
    teardown.remove("switches", lambda: ("sysctl a", "sysctl b"))
    teardown.remove("table raw", lambda: False)
    teardown.remove("link c", lambda: None, report=False)
    assert teardown.finish("down") == ("sysctl a", "sysctl b")


def test_tidying_is_not_shown_to_the_watch():
    log = Log()
    teardown = Teardown(log)
    teardown.tidy("parents", lambda: ("cgroup x",))
    teardown.remove("link a", lambda: None)
    assert log.seen == ["before link a", "after link a"]
    assert teardown.removed == ["cgroup x", "link a"]
