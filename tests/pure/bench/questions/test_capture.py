"""A capture holds around a window, ends as Ctrl-C ends it, and is counted."""

from __future__ import annotations

import os
import sys

import pytest

from bench.engine.arm import PROGRAMS
from bench.questions.capture import Captures
from twinstack.errors import StepFailed

#: As traffic.capture does: it says that it has begun, and reports when it is interrupted.
CAPTURE = """import json, signal, sys, time
def end(*_):
    print(json.dumps({"links": [{"packets": 5, "dropped": 1}, {"packets": 2, "dropped": 0}]}))
    sys.exit(0)
signal.signal(signal.SIGINT, end)
print("a warning\\ncapturing br-app", file=sys.stderr, flush=True)
time.sleep(20)"""


def capturing(monkeypatch: pytest.MonkeyPatch, script: str) -> Captures:
    commands = [([sys.executable, "-c", script], "capturing")]
    monkeypatch.setattr(Captures, "_commands", lambda *_: iter(commands))
    return Captures("net", ())


def test_a_capture_runs_while_a_window_lasts_and_its_report_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    captures = capturing(monkeypatch, CAPTURE)
    for _ in range(2):
        with captures.during("bridges") as parts:
            ((pid, part),) = parts.items()
            assert part == PROGRAMS
            os.kill(pid, 0)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list(captures.sentences()) == ["bridges: 14 packets captured, 2 lost."]


def test_a_capture_that_fails_is_an_error_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "import sys; sys.exit('no such link')"
    with (
        pytest.raises(StepFailed, match="the capture: does not start: no such link"),
        capturing(monkeypatch, broken).during("bridges"),
    ):
        pass
    later = CAPTURE.replace("sys.exit(0)", "sys.exit(1)")
    with (
        pytest.raises(StepFailed, match="the capture: failed"),
        capturing(monkeypatch, later).during("bridges"),
    ):
        pass
