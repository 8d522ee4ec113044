"""A Prometheus without a world: ports that others have."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.prometheus import own_pids
from tests.support.sandbox import Sandbox

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
