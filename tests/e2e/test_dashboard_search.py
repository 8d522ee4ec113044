"""The search of the dashboard, in Chromium: what it finds, shows, opens and clears.

The server and the page are real; samples are the test's own. Needs no world.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support import browser as b
from tests.support.board import Board, board

pytestmark = pytest.mark.e2e


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    with b.chromium(None, tmp_path) as browser:
        yield browser


@pytest.fixture
def live() -> Iterator[Board]:
    with board() as made, made.speaking("net", "docker"):
        yield made


def test_search_finds_by_name_tier_state_and_address(live: Board, chromium: Browser) -> None:
    with b.open_page(chromium, live.url, (1440, 900)) as page:
        page.await_all_up("docker")
        box = page.page.locator("#find")
        replicas = len(live.plans["net"].replicas)

        def found(words: str) -> list[str]:
            box.fill(words)
            return page.page.locator("#net tr[data-row]:visible th").all_inner_texts()

        page.page.keyboard.press("/")
        page.page.keyboard.type("order")
        assert box.input_value() == "order"
        assert found("redis") == ["redis-cache"]
        assert page.page.locator('#net [data-node][data-match="yes"]').count() == 1
        assert page.page.locator('#net [data-node][data-match="no"]').count() == replicas - 1
        assert found("DATABASE tier") == ["redis-cache", "postgres-db"]
        assert found("10.0.0.40") == ["order-service"]
        assert found("database up") == ["redis-cache", "postgres-db"]
        assert found("down") == []
        assert page.page.inner_text("#found") == "nothing matches"
        assert found('<"]\\') == []
        page.page.wait_for_timeout(1_200)  # samples come meanwhile, and show nothing again
        assert page.page.locator("#net tr[data-row]:visible").count() == 0
        found("net product-service-3")
        page.page.keyboard.press("Enter")
        assert page.page.evaluate("location.hash") == "#net/product-service-3"
        box.focus()
        page.page.keyboard.press("Escape")  # clears, and closes nothing
        assert page.page.locator("#net tr[data-row]:visible").count() == replicas
        assert page.page.locator("#panel").is_visible()
        assert page.page.inner_text("#found") == ""
