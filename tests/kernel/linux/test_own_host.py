"""A measurement has a host of its own, and cleans up when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT
from twinstack.errors import TwinstackError
from twinstack.linux.own_host import in_own_host

pytestmark = pytest.mark.kernel


def test_a_measurement_sees_an_empty_host_and_errors_keep_their_kind() -> None:
    links, run = in_own_host(lambda: (os.listdir("/proc/self/net/dev_snmp6"), os.listdir("/run")))
    assert (links, run) == (["lo"], [])

    def fail() -> None:
        raise TwinstackError("the race", "fails", "it was asked to")

    with pytest.raises(TwinstackError, match="the race: fails: it was asked to"):
        in_own_host(fail)


def test_an_interrupted_measurement_cleans_up(tmp_path: Path) -> None:
    script = (
        "import pathlib, time; from twinstack.linux.own_host import in_own_host\n"
        "def measure():\n"
        "    try: print('ready', flush=True); time.sleep(60)\n"
        f"    finally: pathlib.Path({str(tmp_path / 'cleaned')!r}).touch()\n"
        "in_own_host(measure)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as own:
        assert own.stdout is not None
        own.stdout.readline()
        own.send_signal(signal.SIGINT)
        own.wait(timeout=20)
    assert (tmp_path / "cleaned").exists()
