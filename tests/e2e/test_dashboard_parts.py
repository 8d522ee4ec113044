"""Parts of the page beside each other, in Chromium: a pause and the panel, the search, the keys.

The server and the page are real; samples and details are the tests' own. Needs no world.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser

from tests.support import browser as b
from tests.support.board import WORLDS, board
from tests.support.details import made_detail
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.detail.lines import DetailLine
from twinstack.observe.detail.read import ReplicaDetail

pytestmark = pytest.mark.e2e

NEWEST = "document.querySelector('#panel .log li:last-child')?.textContent"
PAUSED = "document.getElementById('pause').getAttribute('aria-pressed')"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with b.chromium(None, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def open_panel(page: b.OpenPage, name: str) -> None:
    page.page.evaluate("hash => { location.hash = hash; }", f"#net/{name}")
    page.page.wait_for_function(f"() => {NEWEST}?.includes('{name}: line')")


def test_a_pause_keeps_what_was_read_and_reads_once_what_is_opened_meanwhile(
    chromium: Browser,
) -> None:
    numbers = iter(range(1000, 9999))

    def growing(world: WorldName, plan: Plan, name: str) -> ReplicaDetail:
        detail = made_detail(world, plan, name)
        assert detail.log is not None
        lines = (DetailLine(1.0, "info", f"{name}: line {next(numbers)}"),)
        return replace(detail, log=replace(detail.log, lines=lines))

    with board() as made, made.speaking("net", "docker"):
        made.detail = growing
        with b.open_page(chromium, made.url) as page:
            page.await_all_up("docker")
            open_panel(page, "order-service")
            page.page.keyboard.press("p")
            page.page.wait_for_timeout(300)  # the last answer that was asked for
            for name in ("order-service", "redis-cache"):
                open_panel(page, name)
                before = page.page.evaluate(NEWEST)
                page.page.wait_for_timeout(2_500)
                assert page.page.evaluate(NEWEST) == before
            page.page.keyboard.press("p")
            page.page.wait_for_function(f"() => {NEWEST} !== {before!r}", timeout=b.TIMEOUT_MS)


def test_a_key_that_is_typed_is_no_command_and_one_elsewhere_is(chromium: Browser) -> None:
    with board() as made, made.speaking("net", "docker"):
        with b.open_page(chromium, made.url, (1440, 900)) as page:
            page.await_all_up("docker")
            keyboard, moment = page.page.keyboard, page.page.locator("#read")
            page.page.click('#bar label:has-text("15 min")')  # the focus is on its button now
            keyboard.press("/")
            keyboard.type("p/p")
            assert page.page.input_value("#find") == "p/p"
            assert page.page.evaluate(PAUSED) == "false"
            page.page.evaluate("document.getElementById('moment').value = -100")
            page.page.dispatch_event("#moment", "input")
            assert moment.inner_text().startswith("At ")
            page.page.focus("#find")
            keyboard.press("Escape")  # is for the search
            assert page.page.input_value("#find") == ""
            assert moment.inner_text().startswith("At ")
        with b.open_page(chromium, made.url, (360, 740)) as page:  # the panel is over the page
            page.await_all_up("docker")
            page.page.evaluate("location.hash = '#net/order-service'")
            page.page.wait_for_selector("#panel:modal")
            page.page.keyboard.press("p")
            assert page.page.evaluate(PAUSED) == "false"


def test_charts_go_on_when_the_servers_clock_was_set_back_and_a_chosen_moment_is_left(
    chromium: Browser,
) -> None:
    with board() as made:
        made.remember(30)
        with b.open_page(chromium, made.url) as page:
            page.await_all_up("docker")
            page.page.evaluate("document.getElementById('moment').value = -20")
            page.page.dispatch_event("#moment", "input")
            assert page.page.inner_text("#read").startswith("At ")
            for number in range(4):
                for world in WORLDS:
                    made.take(world, time.time() - 3600 + number / 10)
            page.page.wait_for_selector('#kept:has-text("the clock was set back")')
            page.page.wait_for_selector('#read:text-is("Now")')


def test_a_name_that_a_service_says_is_never_one_of_the_pages_own(chromium: Browser) -> None:
    with board() as made:
        made.remember(3)
        with b.open_page(chromium, made.url) as page:
            page.await_all_up("docker")
            evil = json.loads(made.feed.latest()["net"].line)
            for number, name in enumerate(("__proto__", "constructor", "toString"), start=1):
                edge = {**evil["edges"][-1], "source": "api-gateway", "destination": name}
                sent = {**evil, "at": evil["at"] + number, "edges": [*evil["edges"], edge]}
                made.feed.take("net", json.dumps(sent).encode())
                time.sleep(0.3)  # each is drawn
            made.take("net", evil["at"] + 9, rate=77.0)
            page.page.wait_for_selector('#net [data-of="rate"]:text-is("77")')
            assert page.page.evaluate("({}).rate") is None
