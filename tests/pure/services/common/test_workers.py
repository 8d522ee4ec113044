"""A replica of several workers counts as one, whichever of them answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric

from services.common.workers import merged
from tests.support import scraped
from tests.support.gateway_parts import closed_port
from tests.support.project import ROOT
from tests.support.sandbox import eventually
from tests.support.scraped import Scrape, ask, scrape

SERVED = """
from services.common.logs import Log
from services.common.settings import from_environment
from services.common.wsgi import Instrumented

def answers_at_once(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"{}"]

settings = from_environment("order-service", {"TWINSTACK_WORKERS": "3"})
app = Instrumented(answers_at_once, settings, Log("a", "a", requests=False, fd=-1))
"""
SERVERS = {
    "granian": "granian --interface wsgi --http 1 --host 127.0.0.1 --workers 3 --blocking-threads 2"
    " --port {} served:app",
    "uvicorn": "uvicorn services.api_gateway.app:app --host 127.0.0.1 --workers 3 --log-level error"
    " --http services.api_gateway.server:Protocol --loop uvloop --ws none --lifespan on"
    " --no-proxy-headers --port {}",
}


@contextmanager
def serving(server: str, directory: Path) -> Iterator[tuple[int, list[int]]]:
    """Serve with three workers; give the port and the workers' pids."""
    (directory / "served.py").write_text(SERVED)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{directory}",
        "TWINSTACK_WORKERS": "3",
        "LOG_REQUESTS": "0",
        "REGISTRY_URL": "http://127.0.0.1:1",
    }
    port = closed_port()
    words = SERVERS[server].format(port).split()
    process = subprocess.Popen(
        [sys.executable, "-m", *words], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        eventually(lambda: len(listed(process.pid)) == 3 and answers(port), within_s=20)
        yield port, listed(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def listed(server: int) -> list[int]:
    """Give the pids of the workers of a server, as they are found by each other."""
    prefix = f"@twinstack-metrics-{server}-"
    words = Path("/proc/net/unix").read_text().split()
    return sorted({int(word.removeprefix(prefix)) for word in words if word.startswith(prefix)})


def answers(port: int) -> bool:
    with suppress(OSError):
        return ask(port).status == 200
    return False


@pytest.mark.parametrize(
    ("server", "path", "code"), [("granian", "/", "200"), ("uvicorn", "/nowhere", "404")]
)
def test_whichever_worker_is_asked_gives_the_counts_of_all(
    server: str, path: str, code: str, tmp_path: Path
) -> None:
    with serving(server, tmp_path) as (port, _):
        for _ in range(3):
            scraped.check_whole(port, path, code, requests=400)
        seen = scrape(port)
        assert scraped.complaints(seen.text) == ""
        assert seen.total("http_requests_total", code=code) == 1_200
        assert [value for _, value in seen.samples("python_info")] == [1]
        now = time.time()
        assert now - 60 < (seen.value("process_start_time_seconds") or 0) <= now + 1
        if server == "uvicorn":
            assert seen.value("gateway_in_flight") == 0


def is_stopped(pid: int) -> bool:
    """Say whether every thread of a process is: a signal arrives a moment after it was sent."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(file.read_text().rpartition(") ")[2].startswith("T") for file in threads)


def test_a_worker_that_is_silent_fails_the_scrape(tmp_path: Path) -> None:
    """A sum without it would be a counter that falls, which looks like a restart."""
    with serving("granian", tmp_path) as (port, workers):
        os.kill(workers[0], signal.SIGSTOP)
        try:
            eventually(lambda: is_stopped(workers[0]), within_s=5)
            statuses: list[int | None] = []
            while 503 not in statuses and len(statuses) < 20:
                statuses.append(status_within(port, "/metrics"))  # it may be the silent one
        finally:
            os.kill(workers[0], signal.SIGCONT)
        assert set(statuses) <= {503, None}
        assert 503 in statuses
        eventually(lambda: answers(port), within_s=5)


ONE_WORKER = """
import os, resource, socket, sys, time
from services.common.workers import Workers

strange = socket.socket(socket.AF_UNIX)
strange.bind(b"\\0\\xff\\n")  # whoever else is in this namespace names things as they like
workers = Workers(lambda: b"x 1\\n")
asking, later = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
resource.setrlimit(resource.RLIMIT_NOFILE, (1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
asking.connect("\\0" + workers._own_name[1:])
time.sleep(0.3)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
later.settimeout(2)
later.connect("\\0" + workers._own_name[1:])
print(later.recv(100), list(workers.texts()))
"""


def test_a_worker_that_had_no_descriptor_left_answers_again() -> None:
    """And one more: a name that is no text, of anybody's socket, is passed over."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_WORKER], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.stdout, done.stderr) == ("b'x 1\\n' ['x 1\\n']\n", "")


def status_within(port: int, path: str) -> int | None:
    """Give a status; None where nothing came in time."""
    try:
        return ask(port, path, timeout_s=1.5).status
    except TimeoutError:
        return None


@dataclass(frozen=True)
class Both:
    texts: list[str]

    def collect(self) -> list[Metric]:
        return merged(self.texts)


def test_counts_are_added_and_what_is_said_once_stays() -> None:
    own = (
        '# HELP a_total A.\n# TYPE a_total counter\na_total{x="1"} 2\na_total{x="2"} 1\n'
        "# HELP gateway_in_flight B.\n# TYPE gateway_in_flight gauge\ngateway_in_flight 3\n"
        "# HELP gateway_upstream_shunned C.\n# TYPE gateway_upstream_shunned gauge\n"
        "gateway_upstream_shunned 1\n"
        "# HELP process_start_time_seconds D.\n# TYPE process_start_time_seconds gauge\n"
        "process_start_time_seconds 100\n"
        "# HELP h_seconds E.\n# TYPE h_seconds histogram\n"
        'h_seconds_bucket{le="1.0"} 1\nh_seconds_bucket{le="+Inf"} 2\n'
        "h_seconds_count 2\nh_seconds_sum 5.5\n"
    )
    other = own.replace('x="2"', 'x="3"').replace("seconds 100", "seconds 90")
    both = Scrape(generate_latest(Both([own, other])).decode())
    assert both.samples("a_total") == [({"x": "1"}, 4), ({"x": "2"}, 1), ({"x": "3"}, 1)]
    assert both.value("gateway_in_flight") == 6
    assert both.value("gateway_upstream_shunned") == 1
    assert both.value("process_start_time_seconds") == 100
    assert both.value("h_seconds_bucket", le="1.0") == 2
    assert (both.value("h_seconds_count"), both.value("h_seconds_sum")) == (4, 11)
    assert scraped.complaints(both.text) == ""
