"""The Docker world in a real Prometheus: its replicas are scraped, and a killed one is an alert."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.docker_world import until
from tests.support.own_engine import INSTANCE
from tests.support.project import ROOT
from twinstack.compose.world import DockerWorld
from twinstack.observe.dashboard import server
from twinstack.observe.live import feed
from twinstack.observe.live.model import HAVE_METRICS
from twinstack.observe.prometheus.alerts import rules
from twinstack.observe.prometheus.files import Options, scrape

pytestmark = pytest.mark.docker


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def scraping(world: DockerWorld, folder: Path) -> Iterator[int]:
    """Serve /metrics of a world, and let a Prometheus scrape it; gives Prometheus' port."""
    with feed.watching({"docker": lambda: world}) as samples:
        served = server.listen(samples, dict, ROOT, 0, instance=INSTANCE)
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        options = Options(free_port(), served.port, 1)
        (folder / "alerts.yml").write_text(rules(INSTANCE, 1))
        (folder / "prometheus.yml").write_text(scrape(options, "alerts.yml", INSTANCE))
        words = (
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{options.port}",
            "--log.level=error",
        )
        prometheus = subprocess.Popen(words)
        try:
            yield options.port
        finally:
            prometheus.kill()
            prometheus.wait()
            served.shutdown()
            served.server_close()
            thread.join()


def asked(port: int, expression: str) -> set[str]:
    """Name the replicas of which an expression gives a value."""
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            rows = json.load(answer)["data"]["result"]
    except OSError:
        return set()
    return {row["metric"].get("replica", "") for row in rows}


def test_prometheus_scrapes_every_container_and_a_killed_one_is_an_alert(
    up: DockerWorld, tmp_path: Path
) -> None:
    names = {replica.name for replica in up.plan.replicas}
    python = {each.name for each in up.plan.replicas if each.runtime in HAVE_METRICS}
    with scraping(up, tmp_path) as port:
        until(lambda: asked(port, 'twinstack_replica_up{world="docker"} == 1') == names, 30)
        for family in ("cpu_seconds_total", "memory_limit_bytes", "network_receive_bytes_total"):
            assert asked(port, f"twinstack_replica_{family} > 0") == names, family
        assert asked(port, "process_cpu_seconds_total") == python
        os.kill(up.main_pids()["product-service-2"], signal.SIGKILL)
        alert = 'ALERTS{alertname="ReplicaRestarted",alertstate="firing"}'
        until(lambda: asked(port, alert) == {"product-service-2"}, 60)
