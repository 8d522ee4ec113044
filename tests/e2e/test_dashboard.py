"""The dashboard of a world in a real browser: a killed replica turns red; a dead server, grey."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support import browser as b
from tests.support.core_cases import planned
from tests.support.sandbox import Sandbox, eventually

pytestmark = pytest.mark.e2e

#: Records what a node shows each time its state changes: a red second is soon over.
RECORD = """name => {
  const node = document.querySelector(`#net [data-node="${name}"]`);
  window.shown = [];
  new MutationObserver(() => window.shown.push([
    node.dataset.state, node.querySelector(".word").textContent,
    node.querySelector(".sign").getAttribute("d"),
    getComputedStyle(node.querySelector("rect")).stroke,
  ])).observe(node, {attributes: true, attributeFilter: ["data-state"]});
}"""
#: How many figures are shown, or whether so many are.
FIGURES = """least => {
  const cells = [...document.querySelectorAll("#net td.number")];
  const shown = cells.filter(one => one.textContent !== "–").length;
  return least === null ? shown : shown >= least;
}"""
#: What a page without samples still claims: figures, health, what is busy or cut.
REMAINS = """() => [
  ...[...document.querySelectorAll("#net .tiles dd, #net td.number, #net [data-of=ejected]")]
    .map(one => one.textContent).filter(text => text !== "–"),
  ...[...document.querySelectorAll("#net .flow, #net [data-of=uptime]")]
    .map(one => one.textContent).filter(Boolean),
  ...[...document.querySelectorAll("#net .strip rect, #net meter, #net [data-busy=yes]")]
    .map(one => one.outerHTML),
  ...[...document.querySelectorAll("#net .curve path")].map(one => one.getAttribute("d"))
    .filter(Boolean),
]"""
RED, GREEN = "rgb(179, 38, 30)", "rgb(23, 102, 58)"


@pytest.fixture(scope="module")
def address(flat: Sandbox) -> Iterator[str]:
    with b.served(flat, "--allow-host", "lab.example:8443") as url:
        yield url


@pytest.fixture(scope="module")
def chromium(flat: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with b.chromium(flat, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def latest(flat: Sandbox, address: str) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads(flat.fetch(f"{address}latest.json"))["net"]
    return sample


def pid_of(flat: Sandbox, address: str, name: str) -> int:
    pids = {replica["name"]: replica["pid"] for replica in latest(flat, address)["replicas"]}
    return int(pids[name])


def test_a_killed_service_turns_red_within_three_seconds_and_green_again(
    flat: Sandbox, address: str, chromium: Browser
) -> None:
    name = "product-service-2"
    with b.open_page(chromium, address) as opened:
        opened.await_all_up("net")
        assert opened.page.inner_text('#docker [data-of="verdict"]') == "not up: invoke docker.up"
        opened.page.evaluate(RECORD, name)
        os.kill(pid_of(flat, address, name), signal.SIGKILL)
        killed_s = time.monotonic()
        opened.await_state("net", name, "down", 3)
        assert time.monotonic() - killed_s < 3
        opened.await_all_up("net")
        red, *_, green = opened.page.evaluate("window.shown")
        # Not by colour alone: a word, and another shape.
        assert red == ["down", "down", "M-5-5H5V5H-5Z", RED]
        assert green[:2] + green[3:] == ["up", "up", GREEN]
        events = opened.page.inner_text("#events")
        assert f"death {name}: its process" in events
        assert f"healthy {name}: is up" in events
        strip = opened.page.locator(f'#net [data-row="{name}"] .strip rect.d')
        assert strip.count() >= 1


def test_nothing_stays_green_when_the_server_is_silent_or_gone_and_it_recovers_by_itself(
    flat: Sandbox, chromium: Browser
) -> None:
    anything = '#net [data-node]:not([data-state="client"], [data-state="absent"])'
    with b.serving(flat) as (server, url), b.open_page(chromium, url) as opened:
        page = opened.page
        page.evaluate("window.loaded = 'once'")
        opened.await_all_up("net")
        page.wait_for_timeout(3_000)  # what is drawn every third second
        shown = page.evaluate(FIGURES, None)
        server.send_signal(signal.SIGSTOP)
        page.wait_for_selector(anything, state="detached", timeout=15_000)
        assert page.locator("#net .word").nth(1).text_content() == "unknown"
        server.send_signal(signal.SIGCONT)
        opened.await_all_up("net")
        page.wait_for_function(FIGURES, arg=shown, timeout=b.TIMEOUT_MS)
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        server.kill()
        page.wait_for_selector(anything, state="detached", timeout=3_000)
        for world in ("net", "docker"):
            assert page.inner_text(f"#{world} [data-of=verdict]").startswith("unknown")
        assert page.evaluate(REMAINS) == []
        words = page.inner_text("#link")
        assert re.match(r"Nothing has come from the dashboard since \d\d:\d\d:\d\d, so all ", words)
        assert "start “invoke dashboard” again" in words
        banner = page.locator("#link").bounding_box()
        assert banner is not None
        assert (banner["x"], banner["y"], banner["width"]) == (0, 0, b.DESK[0])
        assert opened.barriers() == []
        with b.serving(flat, port=int(url.rstrip("/").rsplit(":", 1)[1])) as (again, _):
            opened.await_all_up("net")
            page.wait_for_function(FIGURES, arg=shown, timeout=b.TIMEOUT_MS)
            assert page.inner_text("#link") == "live"
            assert page.evaluate("window.loaded") == "once"
            again.send_signal(signal.SIGINT)  # its watcher's requests are not to be counted below
            assert again.wait(timeout=10) == 0
        opened.messages.clear()  # the browser's own: connection refused


def test_requests_at_the_edge_are_counted_exactly(flat: Sandbox, address: str) -> None:
    def total() -> int:
        return int(latest(flat, address)["total"])

    def settled() -> int:
        """Give the total once it stands still: other dashboards' watchers have ended."""
        while True:
            seen = total()
            time.sleep(2.2)
            if total() == seen:
                return seen
            assert time.monotonic() < end_s, seen

    end_s = time.monotonic() + 15
    before = settled()
    for _ in range(7):
        flat.fetch("http://10.0.0.10/api/products")
    eventually(lambda: total() == before + 7, within_s=5)
    time.sleep(2.2)  # the watcher's own requests are not counted
    assert total() == before + 7


def test_a_replica_is_looked_at_closely_while_it_serves(flat: Sandbox, address: str) -> None:
    def look(name: str) -> dict[str, Any]:
        query = f"replica.json?world=net&name={name}"
        found: dict[str, Any] = json.loads(flat.fetch(f"{address}{query}"))["detail"]
        return found

    def rule(name: str) -> int:
        rules = look(name)["policy"]["rules"]
        return next(int(one["packets"]) for one in rules if "TO-" in one["rule"])

    eventually(lambda: "net" in json.loads(flat.fetch(f"{address}latest.json")), within_s=20)
    before, first = rule("api-gateway"), look("nginx-lb")
    flat.fetch("http://10.0.0.10/api/products", "-H", "X-Request-ID: looked-for")
    newest = first["log"]["requests"][-1:]
    eventually(lambda: look("nginx-lb")["log"]["requests"][-1:] != newest, within_s=10)
    found = look("nginx-lb")
    request = found["log"]["requests"][-1]
    assert (request["method"], request["path"]) == ("GET", "/api/products")
    assert (request["status"], request["request"]) == (200, "looked-for")
    assert found["links"][0]["received_packets"] > first["links"][0]["received_packets"]
    assert found["troubles"] == {}
    assert found["cgroup"]["limits"] == found["declared"]
    assert 0 < found["cgroup"]["pids"] <= found["declared"]["pids"]
    assert found["policy"]["enforced"]
    flat.invoke("net.restart", "nginx-lb")  # its new connections to the gateway are counted
    flat.fetch("http://10.0.0.10/api/products")
    eventually(lambda: rule("api-gateway") > before, within_s=10)
    assert "is not in the net world" in flat.fetch(f"{address}replica.json?world=net&name=x")
    assert "is not up" in flat.fetch(f"{address}replica.json?world=docker&name=nginx-lb")


def test_a_page_under_a_foreign_name_is_refused_in_the_browser(
    address: str, chromium: Browser
) -> None:
    page = chromium.new_page()
    port = address.rstrip("/").rsplit(":", 1)[1]
    answer = page.goto(f"http://{b.REBOUND}:{port}/")
    assert answer is not None
    assert answer.status == 421
    assert "product-service" not in page.content()
    page.close()


def test_other_hosts_and_sites_learn_nothing(flat: Sandbox, address: str) -> None:
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert flat.fetch(address, *code) == "200"
    assert flat.fetch(address, *code, "-H", "Host: rebound.example") == "421"
    assert flat.fetch(address, *code, "-H", "Host: localhost:9000") == "200"  # ssh -L 9000:…
    assert flat.fetch(address, *code, "-H", "Host: lab.example:8443") == "200"
    assert flat.fetch(address, *code, "-H", "Host: lab.example") == "421"
    assert flat.fetch(address, *code, "-H", "Sec-Fetch-Site: cross-site") == "403"
    port = address.rsplit(":", 1)[1]
    refused = flat.run("curl", "-sS", "--max-time", "3", f"http://203.0.113.1:{port}", check=False)
    assert refused.returncode == 7  # it listens on the loopback alone
    for path in ("/internal/status", "/internal/counts", "/metrics", "/api/metrics"):
        for claim in ("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1"):
            assert flat.fetch(f"http://10.0.0.10{path}", *code, "-H", claim) == "404"
    inside = ("net.exec", "api-gateway", "--", "curl", "-s", "http://127.0.0.1:3000/metrics")
    assert "\nprocess_start_time_seconds " in flat.invoke(*inside).stdout


def test_health_says_in_the_terminal_what_the_page_shows(flat: Sandbox, address: str) -> None:
    done = flat.invoke("health", "--world", "net", "--once")
    assert done.stdout.startswith("net (flat): ")
    assert done.stdout.count("● up") == len(planned().replicas)
    assert flat.invoke("health", "--world", "docker", "--once", check=False).returncode == 2
    pid = pid_of(flat, address, "redis-cache")
    os.kill(pid, signal.SIGSTOP)
    try:
        ill = flat.invoke("health", "--world", "net", "--once", "--json", check=False)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ill.returncode == 1
    states = {
        replica["name"]: replica for replica in json.loads(ill.stdout)["worlds"][0]["replicas"]
    }
    assert states["redis-cache"]["state"] == "down"
