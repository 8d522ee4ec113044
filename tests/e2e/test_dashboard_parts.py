"""Parts of the page beside each other, in Chromium: a pause and the panel, the search, the keys.

The server and the page are real; samples and details are the tests' own. Needs no world.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support import browser as b
from tests.support.board import WORLDS, board

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with b.chromium(None, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


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
