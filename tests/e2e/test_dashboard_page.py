"""The page in Chromium, at every width and scheme: nothing overlaps, is cut off or is hidden.

The server and the page are real; the samples are the tests' own, so that every figure is at its
widest and each moment is known. Needs no world.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser

from tests.support import browser as b
from tests.support.board import Board, board
from tests.support.layout import FAULTS
from twinstack.observe.dashboard.topology_map import topology_map

pytestmark = pytest.mark.e2e

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (360, 390, 768, 1024, 1280, 1440, 1920, 2560)
#: Whatever claims to be known of a replica.
KNOWN = ":is([data-node], [data-row]):not([data-state=absent], [data-state=client])"
#: The rate that is shown, that at the curve's end, and the highest.
RATES = """() => {
  const text = (name) => document.querySelector(`#net [data-of="${name}"]`).textContent;
  const path = document.querySelector('#net [data-of="curve"]').getAttribute("d");
  const ends = path.split(/[ML]/).filter(Boolean).map((point) => point.split(" ").map(Number));
  const highest = Number(text("highest").replace(",", ""));
  const [x, y] = ends[ends.length - 1];
  return {tile: text("rate"), highest, x, end: highest * (39 - y) / 37,
          pieces: path.split("M").length - 1, window: text("window")};
}"""


RATES_SENT = (100.0, 2000.0, 40.0, None, 7.4, 333.0, 1118.0, 90.0)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with b.chromium(None, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def busy() -> Iterator[Board]:
    """Give a dashboard of two worlds at their widest figures, where one replica of each is ill."""
    with board() as made:
        made.remember(200, rate=12_345.6, mean_ms=1234.5)
        widest = {"rate": 12_345.6, "mean_ms": 1234.5, "states": {"product-service-2": "degraded"}}
        with made.speaking("net", "docker", **widest):
            yield made


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overlaps_is_cut_off_or_hidden(busy: Board, chromium: Browser, width: int) -> None:
    with b.open_page(chromium, busy.url, (width, 900)) as opened:
        for world in ("net", "docker"):
            opened.await_state(world, "product-service-2", "degraded", 10)
        for scheme in SCHEMES:
            opened.page.emulate_media(color_scheme=scheme)
            assert (scheme, opened.page.evaluate(FAULTS)) == (scheme, [])
            assert (scheme, opened.barriers()) == (scheme, [])
        table = opened.page.locator("#net .services").bounding_box()
        box = opened.page.locator("#net .wide").first.bounding_box()
        assert table is not None
        assert box is not None
        if width >= 1000:  # it has the room that it needs
            assert table["width"] <= box["width"] + 1


def test_lines_pass_no_box_however_many_replicas_there_are(chromium: Browser) -> None:
    with board(replicas=11) as made:
        made.remember(3)
        with b.open_page(chromium, made.url, (360, 900)) as opened:
            opened.await_all_up("docker")
            assert opened.page.evaluate(FAULTS) == []


def test_the_rate_is_the_last_point_of_its_curve(chromium: Browser) -> None:
    with board() as made, b.open_page(chromium, made.url) as opened:
        begin = time.time()
        for second, rate in zip(range(0, 16, 2), RATES_SENT, strict=True):
            made.take("net", begin + second, rate=rate)
            at = f'#net [data-of="window"]:text-is("last {max(second, 1)} s")'
            opened.page.wait_for_selector(at, timeout=b.TIMEOUT_MS)
            shown = opened.page.evaluate(RATES)
            if rate is None:
                assert shown["tile"] == "–"  # unknown is not zero
                continue
            assert shown["tile"] == (f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}")
            assert shown["end"] == pytest.approx(rate, abs=0.3)
            assert shown["x"] == 180
            assert shown["highest"] == (2000 if second else 100)
        assert shown["pieces"] == 2


def test_health_is_said_of_the_time_that_was_observed(chromium: Browser) -> None:
    now = time.time()
    with board() as made:

        def await_health(words: str) -> None:
            health = f'#net [data-row="redis-cache"] [data-of="uptime"]:text-is("{words}")'
            opened.page.wait_for_selector(health, timeout=b.TIMEOUT_MS)

        for at in range(25):  # in the second of a death there are two samples
            made.take("net", now + at / 2)
        with b.open_page(chromium, made.url) as opened:
            await_health("100 % of 12 s")
            made.take("net", now + 13, states={"redis-cache": "down"})
            opened.await_state("net", "redis-cache", "down", 10)
            made.take("net", now + 17)
            await_health("76 % of 17 s")
            made.take("net", now + 30)  # what was in a gap is unknown
            opened.page.wait_for_selector('#net [data-of="window"]:text-is("last 30 s")')
            made.take("net", now + 31)
            await_health("77 % of 18 s")
            for at in range(32, 300):
                made.take("net", now + at)
            opened.page.reload()
            await_health("100 % of 3 min")
            made.take("net", now + 399)  # of more than three minutes before nothing is kept
            await_health("100 % of 80 s")


def test_a_silent_world_is_unknown_and_a_silent_dashboard_is_tried_again(chromium: Browser) -> None:
    with board() as made, b.open_page(chromium, made.url) as opened:
        asked: list[str] = []
        opened.page.on("request", lambda request: asked.append(request.url))
        made.remember(5, states={"order-service": "degraded"})
        opened.await_state("docker", "order-service", "degraded", 10)
        asked.clear()
        with made.speaking("net"):
            opened.page.wait_for_selector(
                '#docker [data-of="verdict"]:text("unknown: nothing has come of it since")',
                timeout=b.TIMEOUT_MS,
            )
            assert opened.page.locator(f"#docker {KNOWN}").count() == 0
            opened.await_all_up("net")
            assert opened.page.inner_text("#link") == "live"
        assert asked == []
        opened.page.wait_for_selector('#link[data-state="lost"]', timeout=b.TIMEOUT_MS)
        assert opened.page.title() == "no data: twinstack"
        assert opened.page.evaluate(FAULTS) == []
        # What the server sends again is old, to a page that is opened now too.
        late = opened.context.new_page()
        late.goto(made.url)
        late.wait_for_selector('#link[data-state="lost"]', timeout=b.TIMEOUT_MS)
        for page in (opened.page, late):
            assert page.locator(KNOWN).count() == 0
            assert page.get_attribute("#link", "data-state") == "lost"
        assert f"{made.url}events" in asked  # the connection may be dead without an error
        with made.speaking("net", "docker"):
            for world in ("net", "docker"):
                opened.await_all_up(world)
            assert opened.page.inner_text("#link") == "live"


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(
    busy: Board, chromium: Browser
) -> None:
    focused = """() => {
      const element = document.activeElement, style = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      const box_of_map = element.querySelector("rect");  // there the box's own edge is the mark
      const {name, dataset, id} = element;
      return [element.getAttribute("href") || element.getAttribute("aria-labelledby")
                || dataset.save || name || id || null,
              (name === "range"  // its label shows it
                || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
                || box_of_map && parseFloat(getComputedStyle(box_of_map).strokeWidth) >= 4)
              && box.bottom > 0 && box.top < innerHeight && box.right > 0];
    }"""
    with b.open_page(chromium, busy.url) as opened:
        opened.await_state("docker", "product-service-2", "degraded", 10)
        page = opened.page
        stops = []
        replicas = [replica.name for replica in busy.plans["net"].replicas]
        ordered = [replica.name for replica in topology_map(busy.plans["net"]).nodes[1:]]
        stops_at = [
            *(
                "#main",
                "#compare",
                "#net-title",
                "#docker-title",
                "#happened",
                "#benchmark",
                "find",
            ),
            *("range", "pause", "csv", "json", "charts", "net", "docker", "moment", "#benchmark"),
            *(
                stop
                for world in ("net", "docker")
                for stop in (
                    *(f"#{world}/{name}" for name in ordered),
                    f"{world}-services",
                    *(f"#{world}/{name}" for name in replicas),
                    *(f"{world}-balance", f"{world}-registry"),
                )
            ),
            *("happened-title", "benchmark-title"),
        ]
        for _ in range(len(stops_at) + 1):
            page.keyboard.press("Tab")
            stops.append(page.evaluate(focused))
        assert [name for name, _ in stops] == [*stops_at, None]  # the last is the browser's own
        assert all(seen for _, seen in stops[:-1])
        # Nothing else can be clicked.
        can_be = ":is(a, button, input, select, [onclick], [tabindex]):not(#panel *)"
        # "#main" can be, by its link; of the three ranges the arrow keys reach those not chosen.
        assert page.locator(can_be).count() == len(stops_at) + 3
        for link in page.locator("nav a").all():
            link.focus()
            page.keyboard.press("Enter")
            target = page.locator(str(link.get_attribute("href")))
            assert target.evaluate(
                "one => { const {top} = one.getBoundingClientRect(); return top < innerHeight; }"
            )
        page.goto(busy.url)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # skip to the main part
        assert page.evaluate("document.activeElement.id") == "main"
    with b.open_page(chromium, busy.url, (360, 740)) as opened:
        box = opened.page.locator("#net .wide").first
        box.focus()
        opened.page.keyboard.press("End")
        opened.page.keyboard.press("ArrowRight")
        opened.page.wait_for_function("() => document.querySelector('#net .wide').scrollLeft > 0")
