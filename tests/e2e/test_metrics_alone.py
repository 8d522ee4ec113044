"""A Prometheus without a world: ports that others have or take, and a watcher that ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.prometheus import METRICS, firing, own_pids, query
from tests.support.sandbox import Sandbox, eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def measured(host: Sandbox) -> Iterator[Sandbox]:
    host.invoke("metrics.up", "--interval", "1")
    yield host
    host.invoke("metrics.down")


def test_a_port_that_cannot_be_had_ends_nothing_that_runs(measured: Sandbox) -> None:
    before = own_pids(measured)
    words = ("-m", "http.server", "9191", "--bind", "127.0.0.1")
    holder = measured.start(sys.executable, *words, stderr=-3, stdout=-3)
    try:
        measured.run("sh", "-c", "until ss -Hltn | grep -q :9191; do sleep 0.1; done")
        done = measured.invoke("metrics.up", "--port", "9191", check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("port 9191: cannot be listened on: Address already in use")
    finally:
        holder.kill()
        holder.wait()
    assert measured.invoke("metrics.up").stderr == ""  # nor is 9191 remembered
    assert own_pids(measured)["prometheus"] == before["prometheus"]


def test_what_another_program_answers_at_a_port_of_ours_is_not_taken_for_ours(
    measured: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "metrics").write_text(there := "twinstack_world_up 1\n")
    serve = f"python3 -m http.server 7701 --bind 127.0.0.1 --directory {tmp_path}"
    words = ("sh", "-c", f"until {serve}; do sleep 0.05; done")
    holder = measured.start(*words, stderr=-3, stdout=-3, start_new_session=True)
    try:
        os.kill(own_pids(measured)["exporter"][1], signal.SIGKILL)  # it is started again in 1 s
        eventually(
            lambda: measured.run("curl", "-s", METRICS, check=False).stdout == there, within_s=10
        )
        done = measured.invoke("metrics.status", "--json", check=False)
        assert done.returncode == 1
        assert json.loads(done.stdout)["parts"][0]["state"] == "starting"
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
    eventually(lambda: measured.invoke("metrics.status", check=False).returncode == 0, within_s=60)


def test_an_alert_fires_for_a_world_whose_watcher_ended(measured: Sandbox) -> None:
    eventually(lambda: len(query(measured, "twinstack_world_up")) == 2, within_s=20)
    _shell, main, *watchers = own_pids(measured)["exporter"]
    os.kill(watchers[0], signal.SIGKILL)
    try:
        eventually(
            lambda: any(name == "WorldUnknown" for name, _, _ in firing(measured)), within_s=60
        )
        assert len(query(measured, "twinstack_world_up")) == 1
    finally:
        os.kill(main, signal.SIGKILL)  # both are watched again
    eventually(lambda: firing(measured) == set(), within_s=60)
