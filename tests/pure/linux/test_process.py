"""Programs are run to their end, or begun and waited for; what goes wrong names what was run."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from twinstack.errors import Missing, StepFailed
from twinstack.linux import process

_state = {"without": False}


def _hook(event: str, _words: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and _state["without"]:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@contextmanager
def no_memory() -> Iterator[None]:
    """Let no program be started, as the kernel does when memory is short."""
    sys.addaudithook(_hook)  # for good: it does nothing but while it is told to
    _state["without"] = True
    try:
        yield
    finally:
        _state["without"] = False


def test_a_program_that_is_begun_works_meanwhile_and_is_waited_for():
    started = time.monotonic()
    wait = process.begin(["sh", "-c", "sleep 1; echo done"])
    assert time.monotonic() - started < 0.9
    assert wait().stdout == "done\n"


def test_what_is_begun_may_print_more_than_a_pipe_holds():
    wait = process.begin(["sh", "-c", "head -c 1000000 /dev/zero; cat"], stdin="end")
    time.sleep(0.2)
    assert wait().stdout == "\0" * 1_000_000 + "end"


@pytest.mark.parametrize("how", [process.run, lambda words: process.begin(words)()])
def test_a_program_that_fails_is_named_with_what_it_said(how: Any):
    with pytest.raises(StepFailed, match="exited 3: too bad"):
        how(["sh", "-c", "echo too bad >&2; exit 3"])


@pytest.mark.parametrize("how", [process.run, process.begin])
def test_a_program_that_cannot_be_started_is_one_clear_line(how: Any):
    with pytest.raises(Missing, match="no-such-program: cannot be run"):
        how(["no-such-program"])
    with no_memory(), pytest.raises(StepFailed, match="true: cannot be started: Cannot allocate"):
        how(["true"])
