"""The dashboard of both worlds in Chromium: replicas are killed in turn, worlds go, come, change.

With `--pictures FOLDER` its screenshots are kept.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import Browser, FloatRect

from tests.support import browser as b
from tests.support.figures import beyond_limits, every_sample
from tests.support.project import ROOT
from tests.support.sandbox import Sandbox, eventually
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.long]

WORLDS = ("net", "docker")
RED_S = 3.0
PLAN = resolve(load(ROOT / "topology.yml"), "flat")
#: Of a screenshot: it is read on a page of documentation.
MOST_BYTES = 400_000
#: How many processes are killed while every figure is checked. Docker waits longer before each
#: restart of a container, so that more would take hours.
SAMPLED_KILLS, FULL_KILLS = 36, {"net": 200, "docker": 36}
BUSY = """world => parseFloat(
  document.querySelector(`#${world} [data-of="rate"]`).textContent.replace(",", "")) > 50"""


@pytest.fixture(scope="module")
def both(flat: Sandbox) -> Sandbox:
    flat.invoke("docker.up", "--timeout", "180", timeout_s=900)
    return flat


@pytest.fixture(scope="module")
def address(both: Sandbox) -> Iterator[str]:
    with b.served(both) as url:
        yield url


@pytest.fixture(scope="module")
def chromium(both: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with b.chromium(both, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def keep(request: pytest.FixtureRequest, both: Sandbox, address: str) -> Callable[..., None]:
    """Give what takes a screenshot of a part of the page and keeps it, where that is wanted.

    `until` is the part with which it ends, if not at its own end.

    A picture whose figures exceed the declared limits is never kept: it shows a defect.
    """
    folder = request.config.getoption("--pictures")

    def refuse_wrong_figures(words: str) -> None:
        worlds = json.loads(both.fetch(f"{address}latest.json")).values()
        beyond = [line for world in worlds if world["up"] for line in beyond_limits(world, PLAN)]
        assert (beyond, "no limit" in words) == ([], False), words

    def shoot(opened: b.OpenPage, name: str, selector: str, until: str = "") -> None:
        part = opened.page.locator(selector)
        refuse_wrong_figures(part.inner_text())
        box, end = part.bounding_box(), opened.page.locator(until or selector).bounding_box()
        assert box is not None
        assert end is not None
        height = end["y"] + end["height"] - box["y"]
        x, y, width = box["x"], box["y"], box["width"]
        clip: FloatRect = {"x": x, "y": y, "width": width, "height": height}
        picture = opened.page.screenshot(full_page=True, clip=clip)
        refuse_wrong_figures(part.inner_text())  # it was taken between two samples that are right
        assert len(picture) < MOST_BYTES, name
        if folder:
            (ROOT / folder / f"dashboard-{name}.png").write_bytes(picture)

    return shoot


def published(host: Sandbox) -> list[str]:
    """Give the published port of each world's edge, as a client on the host reaches it."""
    done = host.run("docker", "ps", "--format", "{{.Names}} {{.Ports}}")
    line = next(line for line in done.stdout.splitlines() if "nginx-lb" in line)
    port = line.split("->")[0].rsplit(":", 1)[1]
    return ["http://127.0.0.1:8080", f"http://127.0.0.1:{port}"]


@contextmanager
def loaded(host: Sandbox) -> Iterator[None]:
    """Ask both worlds, gently, while the block lasts: four clients each, over kept connections."""
    command = ["ab", "-q", "-k", "-l", "-c", "4", "-t", "120", "-n", "400000"]
    loads = [
        host.start(
            *command, f"{url}/api/products", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for url in published(host)
    ]
    try:
        yield
    finally:
        for load in loads:
            load.terminate()
            load.wait()


def pids(host: Sandbox, address: str, world: str) -> dict[str, int]:
    replicas = json.loads(host.fetch(f"{address}latest.json"))[world]["replicas"]
    return {replica["name"]: replica["pid"] for replica in replicas}


@pytest.mark.parametrize("world", WORLDS)
def test_everything_that_dies_turns_red_and_green_again(
    both: Sandbox, address: str, chromium: Browser, world: str, tell: Callable[[str], None]
) -> None:
    took: dict[str, float] = {}
    with b.open_page(chromium, address) as opened:
        opened.await_all_up(world)
        for name in pids(both, address, world):
            os.kill(pids(both, address, world)[name], signal.SIGKILL)
            killed_s = time.monotonic()
            opened.await_state(world, name, "down", RED_S)
            took[name] = time.monotonic() - killed_s
            opened.await_all_up(world)
    slowest = max(took, key=lambda name: took[name])
    tell(f"{world}: {len(took)} killed, red after {max(took.values()):.2f} s at most ({slowest})")
    assert max(took.values()) < RED_S


@pytest.mark.parametrize("world", WORLDS)
def test_no_service_is_shown_with_more_than_its_limits_however_often_it_is_killed(
    both: Sandbox, address: str, world: str, full: bool, tell: Callable[[str], None]
) -> None:
    """A process that restarts is first in the root cgroup, which counts the whole machine."""
    kills = 0
    with every_sample(both, address, PLAN) as samples:
        eventually(lambda: world in samples.latest, within_s=20)
        while kills < (FULL_KILLS[world] if full else SAMPLED_KILLS):
            time.sleep(0.2)
            for replica in samples.latest[world]["replicas"]:
                # Once it has run for a second, it is started again at once.
                if replica["state"] == "up" and replica["pid"] is not None:
                    with suppress(ProcessLookupError):
                        os.kill(replica["pid"], signal.SIGKILL)
                        kills += 1
                    time.sleep(random.uniform(0.1, 0.3))
        time.sleep(3)
    tell(f"{world}: {kills} killed, {samples.seen} samples, {len(samples.violations)} beyond")
    assert samples.violations == []


def test_pictures_of_both_worlds_under_load(
    both: Sandbox, address: str, chromium: Browser, keep: Callable[..., None]
) -> None:
    with loaded(both), b.open_page(chromium, address, (1280, 900)) as opened:
        for world in WORLDS:
            opened.await_all_up(world)
        opened.page.wait_for_timeout(45_000)  # some history, for the charts
        for world in WORLDS:
            opened.page.wait_for_function(BUSY, arg=world, timeout=60_000)
            shares = opened.page.locator(f'#{world} [data-of="balance"] meter').all()
            assert len(shares) == 4
        keep(opened, "both", "main", until="#net .services")
        redis = pids(both, address, "net")["redis-cache"]
        os.kill(redis, signal.SIGSTOP)
        try:
            opened.await_state("net", "redis-cache", "down", 10)
            opened.await_state("net", "product-service-2", "degraded", 10)
            keep(opened, "down", "#net .map")
        finally:
            os.kill(redis, signal.SIGCONT)
        opened.await_all_up("net")
        keep(opened, "events", "#happened")
        with b.open_page(chromium, address, (1440, 1000)) as wide:
            wide.await_all_up("net")
            wide.page.evaluate("location.hash = '#net/order-service'")
            wide.page.wait_for_selector('#panel [data-of="read"]:text("Read at")')
            wide.page.wait_for_timeout(3_000)  # the links' rates are of two looks
            assert wide.barriers() == []
            keep(wide, "panel", "html", until="#panel")
        with b.open_page(chromium, address, b.PHONE, "dark") as phone:
            phone.await_all_up("docker")
            phone.page.wait_for_timeout(3_000)
            assert phone.page.evaluate("document.documentElement.scrollWidth") <= b.PHONE[0]
            assert phone.barriers() == []
            keep(phone, "phone", "#net")


def test_a_world_that_goes_and_comes_in_another_shape_is_followed(
    both: Sandbox, address: str, chromium: Browser
) -> None:
    with b.open_page(chromium, address) as opened:
        opened.await_all_up("net")
        both.invoke("net.down")
        opened.page.wait_for_selector('#net:has-text("not up: invoke net.up")', timeout=10_000)
        # What watched it holds nothing of it: no namespace is kept from going.
        assert both.run("ip", "netns", "list").stdout == ""
        both.invoke("net.up", "--shape", "tiered")
        opened.page.wait_for_selector('#net h2:has-text("tiered")', timeout=15_000)
        opened.await_all_up("net")
