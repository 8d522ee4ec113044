"""Every foreseen failure is one line and an exit code; a bug keeps its traceback."""

from __future__ import annotations

import docker.errors
import pytest
import requests

from front import failures, reporting
from tests.support.tasks import raising
from twinstack.errors import NotHealthy, SeveralFailed, StepFailed


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StepFailed("veth a", "cannot be made", "busy"), "veth a: cannot be made: busy"),
        (
            OSError(28, "No space left on device", "/var/x"),
            "/var/x: cannot be used: No space left on device; free some space there",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "/proc/x"),
            "/proc/x: cannot be used: No such file or directory; choose another path",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "mmdebstrap"),
            'mmdebstrap: cannot be used: No such file or directory; run "invoke doctor"',
        ),
        (
            OSError(5, "Input/output error", "/dev/x"),
            '/dev/x: cannot be used: Input/output error; run "invoke doctor"',
        ),
        (
            PermissionError(13, "Permission denied", "/run/x"),
            "/run/x: cannot be used: Permission denied; run it with sudo",
        ),
        (docker.errors.APIError("no\nspace"), "Docker engine: failed: no space; run"),
        (requests.exceptions.ConnectionError("refused"), "Docker engine: does not answer: refused"),
    ],
)
def test_every_foreseen_error_is_one_line_and_exit_1(
    error: Exception, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(error) == 1
    output = capsys.readouterr().err
    assert output.startswith(expected)
    assert len(output.splitlines()) == 1


def test_a_bug_keeps_its_traceback() -> None:
    def body() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        reporting.guarded(body)()
    assert failures.translate(ZeroDivisionError()) is None


def test_the_log_of_an_unhealthy_service_comes_before_the_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unhealthy = NotHealthy("nginx-lb", "is unhealthy")
    unhealthy.add_note("bind() failed")
    assert raising(SeveralFailed("net.up", [unhealthy, unhealthy])) == 1
    assert capsys.readouterr().err.startswith("--- nginx-lb, the end of its log:\nbind() failed")
