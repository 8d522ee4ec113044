"""metrics.up struck at any act leaves nothing that metrics.down does not remove (`--full`: all)."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.support.project import ROOT
from tests.support.sandbox import INVOKE, Sandbox, differences, snapshot

pytestmark = pytest.mark.e2e


def up(host: Sandbox, number: int, signal_number: int) -> tuple[int, str]:
    """Run metrics.up struck before its act `number`; give its exit code and output."""
    words = ("-m", "tests.support.metrics_inside", str(number), str(signal_number))
    done = host.run("env", f"PYTHONPATH={ROOT}", sys.executable, *words, check=False)
    return done.returncode, done.stdout + done.stderr


def test_struck_at_any_act_down_removes_everything_and_up_goes_on(
    host: Sandbox, full: bool
) -> None:
    before = snapshot(host)
    code, words = up(host, 0, 0)
    assert code == 0, words
    acts = int(words)
    host.invoke("metrics.down")
    assert differences(before, snapshot(host)) == []
    sample = range(1, acts + 1) if full else (acts // 2,)
    for number in sample:
        for struck in (signal.SIGKILL, signal.SIGINT) if full else (signal.SIGKILL,):
            assert up(host, number, struck)[0] != 0, (number, struck)
            if number == acts // 2:
                host.invoke("metrics.up", "--interval", "1")
                assert host.invoke("metrics.status", check=False).returncode == 0
            host.invoke("metrics.down")
            assert differences(before, snapshot(host)) == [], (number, struck)


def test_a_port_in_use_and_a_missing_program_are_one_line_each(host: Sandbox) -> None:
    before = snapshot(host)
    holder = host.start(
        sys.executable, "-m", "http.server", "9090", "--bind", "127.0.0.1", stderr=-3, stdout=-3
    )
    try:
        host.run("sh", "-c", "until ss -Hltn | grep -q :9090; do sleep 0.1; done")
        done = host.invoke("metrics.up", check=False)
        assert done.returncode == 1
        line = "port 9090: cannot be listened on: Address already in use; choose another: --port"
        assert done.stderr.splitlines()[-1] == line
    finally:
        holder.kill()
        holder.wait()
    host.invoke("metrics.down")
    lacking = host.run("env", "PATH=/nonexistent", INVOKE, "metrics.up", check=False)
    assert lacking.returncode == 2
    assert lacking.stderr.startswith("prometheus: cannot be run: no such program; run")
    for words in (
        "--port 0",
        "--metrics-port 65536",
        "--interval 0",
        "--port 7701",
    ):
        done = host.invoke("metrics.up", *words.split(), check=False)
        assert (done.returncode, done.stderr.count("\n")) == (64, 1), words
    assert differences(before, snapshot(host)) == []
