"""A replica's panel, in Chromium: what opens, what stays, and what is said to be unknown.

The server and the page are real; samples and details are the tests' own. Needs no world.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support import browser as b
from tests.support.board import Board, board
from tests.support.details import made_detail
from twinstack.errors import CannotTell
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.detail import looks
from twinstack.observe.detail.lines import DetailLine
from twinstack.observe.detail.read import ReplicaDetail, ReplicaLog
from twinstack.observe.detail.rules import ReplicaPolicy
from twinstack.observe.live.model import WorldSample

pytestmark = pytest.mark.e2e

NAME = "order-service"
READ = '#panel [data-of="read"]:text("Read at")'
#: What is wrong with the panel's layout, a line each; boxes that scroll may hide what they hold.
FAULTS = """() => {
  const panel = document.getElementById("panel"), faults = [], texts = [];
  const frame = panel.getBoundingClientRect();
  if (panel.scrollWidth > panel.clientWidth) faults.push("it scrolls sideways");
  if (frame.left < 0 || frame.right > innerWidth) faults.push("it leaves the page");
  const head = panel.querySelector(".panel-head").getBoundingClientRect();
  const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest("[hidden]")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = parent.closest(".wide, .log")?.getBoundingClientRect();
    for (const rect of range.getClientRects()) {
      const name = `"${node.textContent.trim().slice(0, 40)}"`;
      if (box && (rect.left >= box.right || rect.right <= box.left
          || rect.top >= box.bottom || rect.bottom <= box.top)) continue;
      if (!box && (rect.left < frame.left || rect.right > frame.right + 0.5))
        faults.push(`${name} leaves the panel`);
      const inner = parent.closest("td, th, p, h2, h3, li, button")?.getBoundingClientRect();
      if (inner && !parent.closest("thead") && (rect.left < inner.left - 0.5
          || rect.right > inner.right + 0.5)) faults.push(`${name} leaves its box`);
      if (parent.closest("thead")) continue;  // it stays in sight while its rows scroll
      const slack = (rect.bottom - rect.top) * 0.15;
      texts.push({name, node, left: rect.left + 0.5, right: rect.right - 0.5,
                  top: rect.top + slack, bottom: rect.bottom - slack});
    }
  }
  texts.forEach((a, place) => {
    for (const b of texts.slice(place + 1)) {
      if (a.node !== b.node && a.left < b.right && b.left < a.right && a.top < b.bottom
          && b.top < a.bottom) faults.push(`${a.name} and ${b.name} overlap`);
    }
  });
  for (const box of panel.querySelectorAll(".wide")) {
    const more = box.scrollWidth > box.clientWidth;
    if (box.previousElementSibling.hidden === more) faults.push(`${box.textContent.trim()
      .slice(0, 20)}: ${more ? "goes on unseen" : "is said to go on"}`);
  }
  return [...new Set(faults)];
}"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with b.chromium(None, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@contextmanager
def opened(
    chromium: Browser, made: Board, size: tuple[int, int] = b.DESK, scheme: str = "light"
) -> Iterator[b.OpenPage]:
    """Open the page of a made dashboard once all is up."""
    with b.open_page(chromium, made.url, size, scheme) as page:
        page.await_all_up("docker")
        yield page


@pytest.fixture(scope="module")
def live() -> Iterator[Board]:
    """Give a dashboard of two worlds at their widest figures."""
    with board() as made, made.speaking("net", "docker", rate=12_345.6, mean_ms=1234.5):
        yield made


def open_panel(page: b.OpenPage, world: str = "net", name: str = NAME) -> None:
    page.page.evaluate("hash => { location.hash = hash; }", f"#{world}/{name}")
    page.page.wait_for_selector(READ, timeout=b.TIMEOUT_MS)


@pytest.mark.parametrize(  # in the dark only colours differ: over the page, and beside it
    ("width", "scheme"),
    [*((width, "light") for width in (360, 768, 1440, 2560)), (360, "dark"), (1440, "dark")],
)
def test_nothing_in_it_overlaps_or_is_hidden_at_any_width(
    live: Board, chromium: Browser, width: int, scheme: str
) -> None:
    with opened(chromium, live, (width, 900), scheme) as page:
        open_panel(page)
        page.page.wait_for_selector('#panel [data-list="peers"] tr')
        page.page.wait_for_timeout(300)  # its boxes are measured after they are drawn
        assert page.page.evaluate(FAULTS) == []
        assert page.barriers() == []
        panel = page.page.locator("#panel").bounding_box()
        assert panel is not None
        modal = page.page.locator("#panel:modal").count()
        assert (panel["width"] == width, modal) == (width == 360, int(width == 360))
        if width >= 1280:  # it is beside the page, and hides nothing of it
            main = page.page.locator("main").bounding_box()
            assert main is not None
            assert main["x"] + main["width"] <= panel["x"] + 1


def test_a_node_and_a_row_open_it_by_mouse_and_by_key_and_focus_comes_back(
    live: Board, chromium: Browser
) -> None:
    with opened(chromium, live) as page:
        focused = "document.activeElement.id || document.activeElement.getAttribute('href')"
        title = '#panel-title [data-of="name"]'
        for world, opens in (
            ("net", lambda: page.page.click('#net [data-node="redis-cache"]')),
            ("net", lambda: page.page.press('#net .map a[href="#net/redis-cache"]', "Enter")),
            ("docker", lambda: page.page.click('#docker tr[data-row="redis-cache"] td >> nth=3')),
            (
                "docker",
                lambda: page.page.press('#docker th a[href="#docker/redis-cache"]', "Enter"),
            ),
        ):
            opens()
            page.page.wait_for_selector(READ, timeout=b.TIMEOUT_MS)
            assert page.page.inner_text(title) == "redis-cache"
            assert page.page.evaluate("location.hash") == f"#{world}/redis-cache"
            assert page.page.evaluate(focused) == "panel-title"
            page.page.keyboard.press("Escape")
            page.page.wait_for_selector("#panel", state="hidden")
            assert page.page.evaluate("location.hash") == ""
        assert page.page.evaluate(focused) == "#docker/redis-cache"
        # A reload keeps it, "back" closes it, its peers lead on, and "Close" ends it.
        open_panel(page)
        page.page.reload()
        page.page.wait_for_selector(READ, timeout=b.TIMEOUT_MS)
        assert page.page.inner_text(title) == NAME
        page.page.click('#panel [data-list="peers"] a:text-is("redis-cache")')
        assert page.page.inner_text(title) == "redis-cache"
        page.page.go_back()
        assert page.page.inner_text(title) == NAME
        page.page.click("#panel-close")
        page.page.wait_for_selector("#panel", state="hidden")
        # Nothing was focused when it was loaded: the name in the table is where it is from.
        assert page.page.evaluate(focused) == f"#net/{NAME}"


def test_the_keyboard_alone_goes_through_it_on_a_phone_and_leaves_it(
    live: Board, chromium: Browser
) -> None:
    with opened(chromium, live, b.PHONE) as page:
        page.page.press('#net th a[href="#net/order-service"]', "Enter")
        page.page.wait_for_selector(READ, timeout=b.TIMEOUT_MS)
        for _ in range(40):  # the page behind it is inert
            page.page.keyboard.press("Tab")
            inside = "!document.activeElement.closest('main, header')"
            assert page.page.evaluate(inside)
        page.page.keyboard.press("Escape")
        page.page.wait_for_selector("#panel", state="hidden")
        assert page.page.evaluate("location.hash") == ""
        active = "document.activeElement.getAttribute('href')"
        assert page.page.evaluate(active) == "#net/order-service"


def test_every_part_says_what_it_knows(live: Board, chromium: Browser) -> None:
    with opened(chromium, live) as page:
        open_panel(page)
        page.page.wait_for_selector('#panel [data-list="use"] tr')
        text = page.page.inner_text("#panel")
        for words in (
            "0.97 cores",
            "declared for CPU: 1.50 cores",
            "kept it waiting 100 % of the time",
            "194 MB",
            "96 %",
            "Requests to it and from it, now",
            "OPTIONS /api/ppp",
            "left out: 123 requests for its health or counts",
            "12.3 s",
            "invoke net.logs order-service --follow",
            "invoke traffic.report --world net --link order-service --seconds 5",
            "api-gateway may connect to order-service on tcp port 5000 (flows)",
            "missing",
            "There are 7 more: invoke policy.show.",
            "Everything else is denied: 123,456,789 packets",
        ):
            assert words in text, words
        # What services write is text, whatever it is.
        assert "<script>window.hostile = 1</script>" in text
        assert page.page.evaluate("window.hostile") is None
        assert page.page.locator("#panel :is(script, img)").count() == 0


def test_what_cannot_be_known_is_said_in_words(chromium: Browser) -> None:
    with board() as made, made.speaking("net", "docker"):
        lost: dict[str, Any] = dict.fromkeys(("cgroup", "log", "links", "policy"))
        troubles = {name: f"{name}: cannot be read: no engine" for name in lost}
        made.detail = lambda *words: made_detail(*words, **lost, troubles=troubles)
        with opened(chromium, made) as page:
            open_panel(page)
            text = page.page.inner_text("#panel")
            for name in lost:
                assert f"unknown: {name}: cannot be read: no engine" in text
            assert page.page.evaluate(FAULTS) == []
        off = ReplicaPolicy(enforced=False)
        empty = ReplicaLog((), (), 0, 0)
        made.detail = lambda *words: made_detail(*words, policy=off, log=empty, declared=None)
        with opened(chromium, made) as page:
            open_panel(page)
            off_words = "Policies are off: every service reaches every other."
            words = f'#panel [data-words="policy"]:text-is("{off_words}")'
            page.page.wait_for_selector(words, timeout=b.TIMEOUT_MS)
            text = page.page.inner_text("#panel")
            assert text.count("its log is empty") == 2
            assert "the world was brought up without limits" in text


def test_a_slow_answer_is_waited_for_and_then_said_to_be_late(
    chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(world: WorldName, plan: Plan, name: str) -> ReplicaDetail:
        time.sleep(1.5)
        raise CannotTell(name, "cannot be looked at", "the engine is busy")

    monkeypatch.setattr(looks, "WAIT_S", 0.5)
    with board() as made, made.speaking("net", "docker"):
        made.detail = slow
        with opened(chromium, made) as page:
            page.page.evaluate("location.hash = '#net/order-service'")
            assert "waiting for the answer" in page.page.inner_text("#panel")
            page.page.wait_for_selector(
                '#panel [data-of="note"]:text("has not answered within 0.5 s")',
                timeout=b.TIMEOUT_MS,
            )
            page.page.wait_for_selector('#panel [data-words="log"]:text-is("unknown")')
            # What comes with the samples is shown meanwhile.
            assert "0.97 cores" in page.page.inner_text("#panel")
            made.detail = made_detail
            page.page.wait_for_selector(READ, timeout=b.TIMEOUT_MS)
            assert page.page.locator('#panel [data-of="note"]').is_hidden()
            page.messages.clear()  # the browser's own, of each 503


def test_it_follows_without_moving_what_is_read(chromium: Browser) -> None:
    numbers = iter(range(1000, 9999))

    def growing(world: WorldName, plan: Plan, name: str) -> ReplicaDetail:
        first = next(numbers)
        lines = tuple(DetailLine(n, "info", f"line {n}") for n in range(first, first + 60))
        detail = made_detail(world, plan, name)
        assert detail.log is not None
        return replace(detail, log=replace(detail.log, lines=lines))

    with board() as made, made.speaking("net", "docker"):
        made.detail = growing
        with opened(chromium, made) as page:
            open_panel(page)
            newest = "document.querySelector('#panel .log li:last-child').textContent"
            first = page.page.evaluate(newest)
            scrolled = """() => {
              const panel = document.getElementById("panel");
              const item = [...panel.querySelectorAll(".log li")].at(-20);
              getSelection().selectAllChildren(item);
              panel.querySelector(".log").scrollTop = 100;
              item.scrollIntoView({block: "center"});
              window.kept = item;
              return [panel.scrollTop, getSelection().toString(), item.getBoundingClientRect().top];
            }"""
            before = page.page.evaluate(scrolled)
            page.page.wait_for_function(f"() => {newest} !== {first!r}", timeout=b.TIMEOUT_MS)
            after = page.page.evaluate(
                """() => [document.getElementById("panel").scrollTop, getSelection().toString(),
                          window.kept.getBoundingClientRect().top]"""
            )
            assert before[0] > 0
            assert after[:2] == before[:2]
            assert after[2] == pytest.approx(before[2], abs=1)


def test_it_asks_every_two_seconds_and_only_while_it_is_open(
    live: Board, chromium: Browser
) -> None:
    with opened(chromium, live) as page:
        asked: list[str] = []
        page.page.on("request", lambda request: asked.append(request.url))
        open_panel(page)
        for name in ("redis-cache", "nginx-lb", NAME):  # each leaves the one before
            page.page.evaluate("hash => { location.hash = hash; }", f"#net/{name}")
        comes_to_the_fore = "document.dispatchEvent(new Event('visibilitychange'))"
        page.page.evaluate(f"() => {{ for (let n = 0; n < 4; n++) {comes_to_the_fore}; }}")
        page.page.wait_for_timeout(300)
        asked.clear()
        page.page.wait_for_timeout(4_500)
        assert len(asked) in {2, 3}
        assert {url.partition("?")[2] for url in asked} == {f"world=net&name={NAME}"}
        page.page.keyboard.press("Escape")
        page.page.wait_for_timeout(300)
        asked.clear()
        page.page.wait_for_timeout(2_500)
        assert asked == []


def test_names_that_are_no_replicas_are_said_to_be_none(live: Board, chromium: Browser) -> None:
    with opened(chromium, live) as page:
        for name in ("product-service-9", "<script>alert(1)</script>", "%", '"]', "a/b", ""):
            page.page.evaluate("hash => { location.hash = hash; }", f"#net/{name}")
            page.page.wait_for_selector('#panel[data-gone="yes"]')
            assert page.page.inner_text('#panel [data-of="verdict"]').endswith(
                "is not in the world Namespaces: it may have been scaled away, or never was there."
            )
            assert page.page.evaluate(FAULTS) == []
        page.page.evaluate("location.hash = '#nowhere/redis-cache'")
        page.page.wait_for_selector("#panel", state="hidden")


def test_a_replica_that_is_scaled_away_and_a_world_that_goes_down_are_said_to_be(
    chromium: Browser,
) -> None:
    with board(replicas=4) as made, board() as smaller, made.speaking("docker"):
        made.remember(3)
        with opened(chromium, made) as page:
            open_panel(page, name="product-service-4")
            made.plans["net"] = smaller.plans["net"]
            with made.speaking("net"):
                page.page.wait_for_selector('#panel[data-gone="yes"]', timeout=b.TIMEOUT_MS)
            assert "product-service-4 is not in the world" in page.page.inner_text("#panel")
            page.page.evaluate("location.hash = '#net/order-service'")
            page.page.wait_for_selector('#panel[data-gone="no"]')
            page.page.wait_for_timeout(3_100)  # the page reloads at most every three seconds
            del made.plans["net"]
            down = asdict(WorldSample("net", time.time(), False))
            made.feed.take("net", json.dumps(down).encode())
            words = '#panel [data-of="verdict"]:text("is not up: invoke net.up")'
            page.page.wait_for_selector(words, timeout=b.TIMEOUT_MS)
            page.messages.clear()  # the browser's own, of a 404 in between


def test_a_dead_server_greys_it_and_says_when_it_was_read(chromium: Browser) -> None:
    with board() as made:
        made.remember(3)
        with opened(chromium, made) as page:
            open_panel(page)
            made.feed.end()  # its streams end
            page.page.wait_for_selector('html[data-link="lost"]', timeout=b.TIMEOUT_MS)
            state = page.page.inner_text('#panel [data-of="state"]')
            assert state == "unknown"
            assert "nothing has come since" in page.page.inner_text('#panel [data-of="verdict"]')
            grey = "getComputedStyle(document.getElementById('panel')).filter"
            assert page.page.evaluate(grey) == "grayscale(1)"
            rates = page.page.locator('#panel [data-list="peers"] .number').all_text_contents()
            assert set(rates) == {"–"}
            assert "Read at" in page.page.inner_text("#panel")
            page.messages.clear()
