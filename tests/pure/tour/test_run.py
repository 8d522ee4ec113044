"""A command of the tour is shown as it runs, and ends whole: in time, and when the tour ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from twinstack.tour.run import RanCommand, run

#: A program that puts back what it changed when it is ended, as chaos does.
_PUTS_BACK = """
touch changed
( trap 'sleep 0.3; rm changed; exit' TERM
  echo changed; exec > /dev/null; while :; do sleep 0.05; done ) | cat &
wait
"""


def ran(command: str, tmp_path: Path, **options: object) -> tuple[RanCommand, list[str]]:
    shown: list[str] = []
    done = run(
        command,
        0,
        environment=dict(os.environ),
        directory=tmp_path,
        **{"show": shown.append, **options},  # type: ignore[arg-type]
    )
    return done, shown


def test_a_command_is_run_by_bash_word_for_word_and_all_it_writes_is_shown(tmp_path: Path) -> None:
    done, shown = ran("echo ${BASH_VERSION:+bash}\necho wrong >&2; exit 3", tmp_path)
    assert shown == ["bash", "wrong"]
    assert (done.exit_code, done.as_expected, done.output) == (3, False, "bash\nwrong\n")
    assert done.command == "echo ${BASH_VERSION:+bash}\necho wrong >&2; exit 3"


def test_a_command_that_takes_too_long_is_ended_and_puts_back_what_it_changed(
    tmp_path: Path,
) -> None:
    began = time.monotonic()
    done, shown = ran(_PUTS_BACK, tmp_path, longest_s=0.5)
    assert (done.as_expected, shown[0]) == (False, "changed")
    assert not (tmp_path / "changed").exists()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_the_tours_own_end_waits_until_its_command_put_everything_back(
    tmp_path: Path, ending: type[BaseException]
) -> None:
    def show(line: str) -> None:
        raise ending

    with pytest.raises(ending):
        ran(_PUTS_BACK, tmp_path, show=show)
    assert not (tmp_path / "changed").exists()


def test_another_ctrl_c_does_not_leave_what_the_command_changed(tmp_path: Path) -> None:
    def show(line: str) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(_PUTS_BACK, tmp_path, show=show)
    assert not (tmp_path / "changed").exists()
