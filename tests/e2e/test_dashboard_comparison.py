"""Both worlds on one axis in Chromium: figures, gaps, a moment, an hour, a pause, what is saved.

The server and the page are real; the samples are the tests' own. Needs no world.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Page

from tests.support import browser as b
from tests.support.board import WORLDS, Board, board
from tests.support.layout import FAULTS
from twinstack.observe.live.hour import FIGURES

pytestmark = pytest.mark.e2e

NET, DOCKER = 100.0 + 1 / 3, 123.4
ROW = "#differences [data-quantity={}] [data-cell]"
#: The pieces of which a world's line in a chart is made, and where each begins and ends. Units: px.
PIECES = """([figure, world]) => {
  const path = document.querySelector(`[data-figure=${figure}] .series[data-world=${world}]`);
  return path.getAttribute("d").split("M").filter(Boolean).map((piece) => {
    const points = piece.split(/[Lh]/).map((point) => parseFloat(point));
    return [points[0], piece.includes("L") ? points[points.length - 1] : points[0]];
  });
}"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with b.chromium(None, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def cells(page: Page, figure: str) -> list[str]:
    """Give what the table shows of a figure: net, docker, how much more, and how many per cent."""
    return [cell.inner_text() for cell in page.locator(ROW.format(figure)).all()]


def await_cells(page: Page, figure: str, *texts: str) -> None:
    page.wait_for_function(
        """([cells, texts]) => JSON.stringify([...document.querySelectorAll(cells)]
             .map((cell) => cell.textContent)) === JSON.stringify(texts)""",
        arg=[ROW.format(figure), list(texts)],
        timeout=b.TIMEOUT_MS,
    )


def choose(page: Page, words: str) -> None:
    page.click(f'#bar label:has-text("{words}")')


def read(page: Page) -> str:
    return page.inner_text("#read")


def remember(made: Board, now: float, seconds: int, **docker: float | None) -> None:
    """Feed both worlds up to now; what docker lacks is the namespaces'."""
    figures = {"rate": NET, "mean_ms": 2.0, "failed_per_s": 0.0, "cpus": 1.5, "memory_bytes": 1e9}
    for at in range(seconds, -1, -1):
        made.recall("net", now - at, **figures)
        made.recall("docker", now - at, **{**figures, **docker})


def test_differences_are_dockers_less_the_namespaces_and_only_where_both_are_known(
    chromium: Browser,
) -> None:
    with board() as made, b.open_page(chromium, made.url) as opened:
        page, now = opened.page, time.time()
        remember(made, now, 20, rate=NET * 1.25, failed_per_s=3.0, mean_ms=1.0, cpus=None)
        await_cells(page, "rate", "100", "125", "+25", "+25.0 %")
        assert cells(page, "mean_ms") == ["2.0 ms", "1.0 ms", "−1.0 ms", "−50.0 %"]
        assert cells(page, "failed_per_s") == ["0.0", "3.0", "+3.0", ""]  # of zero, no part
        assert cells(page, "cpus") == ["1.50", "–", "–", ""]
        assert cells(page, "memory_bytes") == ["1.0 GB", "1.0 GB", "±0 B", "±0.0 %"]
        assert read(page) == "Now"
        made.feed.take(
            "docker",
            json.dumps(
                {**json.loads(made.feed.latest()["docker"].line), "at": now + 1, "rate": None}
            ).encode(),
        )
        await_cells(page, "rate", "100", "–", "–", "")
        words = page.inner_text("#compare")
        assert "Live figures of unlike loads are no comparison" in words
        assert "The last verdict kept" in words
        assert "-compare.html" in words
        assert "95 % CI" in words


@pytest.mark.parametrize("value", [0.0, 1e7])
@pytest.mark.parametrize("width", [360, 1024])
def test_nothing_overlaps_with_figures_of_any_size(
    chromium: Browser, width: int, value: float
) -> None:
    with board() as made, b.open_page(chromium, made.url, (width, 900)) as opened:
        now = time.time()
        for at in range(30, -1, -1):
            made.recall("net", now - at, **dict.fromkeys(FIGURES, value))
            made.recall("docker", now - at, **dict.fromkeys(FIGURES, value * 12.3456789))
        zeros = ["0.0", "0.0", "±0.0", ""]
        await_cells(
            opened.page, "rate", *(["10M", "123.5M", "+113.5M", "+1,135 %"] if value else zeros)
        )
        assert opened.page.evaluate(FAULTS) == []
        assert opened.barriers() == []


def test_one_moment_is_read_in_both_worlds_by_pointer_and_by_keyboard(chromium: Browser) -> None:
    with board() as made:
        now = time.time()
        for at in range(240, -1, -1):
            died = {"at": now - at, "kind": "death", "replica": "redis-cache", "good": False}
            more = {"events": ({**died, "text": "its process 7 ended"},)} if at == 100 else {}
            made.recall("net", now - at, rate=1000.0 + at, **more)
            made.recall("docker", now - at, rate=2000.0 + at)
        with b.open_page(chromium, made.url) as opened:
            read_moments(opened.page)


def read_moments(page: Page) -> None:
    await_cells(page, "rate", "1,000", "2,000", "+1,000", "+100.0 %")
    page.wait_for_selector("#charts .mark[data-good=no]", state="attached")
    assert "redis-cache: its process 7 ended" in str(page.text_content("#charts .mark title"))
    charts = page.locator("#charts").bounding_box()
    mark = page.locator("#charts .mark").bounding_box()
    assert charts is not None
    assert mark is not None
    x = mark["x"] + mark["width"] / 2
    page.mouse.move(x, charts["y"] + 100)
    page.wait_for_selector('#read:has-text("At ")')
    net, docker, more_text, _ = cells(page, "rate")
    shown = float(net.replace(",", ""))
    assert shown == pytest.approx(1100, abs=4)  # a mark is drawn within some pixels
    assert (float(docker.replace(",", "")), more_text) == (shown + 1000, "+1,000")
    assert "net death redis-cache: its process 7 ended" in page.inner_text("#near")
    lines = page.locator("#charts .cursor").evaluate_all(
        "all => all.map((line) => line.getAttribute('d').split('V')[0])"
    )
    assert len(lines) == 5
    assert len(set(lines)) == 1
    page.mouse.move(x, 5)
    page.wait_for_selector('#read:text-is("Now")')
    page.focus("#moment")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    page.wait_for_selector('#read:has-text("At ")')
    before = cells(page, "rate")[0]
    assert float(before.replace(",", "")) == pytest.approx(1010, abs=5)
    page.wait_for_timeout(1_500)
    assert cells(page, "rate")[0] == before  # a moment that is chosen stays that moment
    page.keyboard.press("Escape")
    assert read(page) == "Now"


def test_an_hour_has_gaps_where_a_world_was_down_and_ends_where_it_is_kept(
    chromium: Browser,
) -> None:
    with board() as made:
        now = time.time()
        for at in range(3600, -1, -1):
            made.recall("net", now - at, rate=NET)
            if 900 <= at < 2700:
                made.feed.take("docker", json.dumps(down(now - at)).encode())
            else:
                made.recall("docker", now - at, rate=DOCKER)
        with b.open_page(chromium, made.url) as opened:
            page = opened.page
            choose(page, "1 h")
            page.wait_for_function(f"() => ({PIECES})(['rate', 'docker']).length === 2")
            ((begin, left), (right, end)) = page.evaluate(PIECES, ["rate", "docker"])
            assert (right - left) / (end - begin) == pytest.approx(0.5, abs=0.01)
            assert len(page.evaluate(PIECES, ["rate", "net"])) == 1
            charts = page.locator("#charts").bounding_box()
            assert charts is not None
            page.mouse.move(charts["x"] + (left + right) / 2, charts["y"] + 50)
            await_cells(page, "rate", "100", "–", "–", "")
            assert read(page).endswith(", mean of ten seconds")
            page.mouse.move(charts["x"] + left - 20, charts["y"] + 50)
            await_cells(page, "rate", "100", "123", "+23", "+23.0 %")
            choose(page, "15 min")
            page.wait_for_function(f"() => ({PIECES})(['rate', 'docker']).length === 1")
            page.reload()
            assert page.is_checked("[name=range][value='900']")
            page.wait_for_selector('#kept:text("means of ten seconds; kept since ")')
            # The page goes on as the server does: a mean that has just ended comes by itself.
            length = "async () => (await import('/hour.js')).hour.worlds.net.means.at.length"
            known = page.evaluate(length)
            for at in range(1, 25):
                made.recall("net", now + at, rate=NET)
            page.wait_for_function(f"() => ({length})().then((now) => now > {known})")


def down(at: float) -> dict[str, object]:
    """Give the sample of a docker world that is not up."""
    return {
        **{"world": "docker", "at": at, "up": False, "key": "", "trouble": "", "shape": ""},
        **dict.fromkeys(FIGURES),
        **{"replicas": [], "edges": [], "balance": [], "registry": None, "ejected": []},
        **{"events": [], "total": None, "conntrack": None, "conntrack_limit": None},
    }


def test_an_hour_in_the_page_is_bounded_and_starts_over_with_the_clock(chromium: Browser) -> None:
    forward = """async () => {
      const {collect, extend, happened, hour} = await import("/hour.js");
      const figures = {rate: 1, mean_ms: 1, failed_per_s: 0, cpus: 1, memory_bytes: 1};
      const column = Object.fromEntries(Object.keys(figures).map((name) => [name, [1]]));
      for (let at = 2e9; at < 2e9 + 36000; at += 0.25) {
        collect({world: "net", at, ...figures});
        if (at % 10 === 0) extend({net: {means: {at: [at], ...column}}});
        if (at % 5 === 0) happened([{at, world: "net", kind: "death", text: "", good: false}]);
      }
      const {fine, means} = hour.worlds.net;
      const sizes = [fine, means].map((columns) => Object.values(columns).map((one) => one.length));
      const {forgotten} = hour, events = hour.events.length;
      collect({world: "net", at: 1e9, ...figures});
      return {sizes, events, forgotten, why: hour.why, left: hour.worlds.net.fine.at,
              means: hour.worlds.net.means.at.length, since: hour.since};
    }"""
    with board() as made, b.open_page(chromium, made.url) as opened:
        made.remember(1)
        opened.await_all_up("net")
        found = opened.page.evaluate(forward)
        assert found["sizes"] == [[600] * 6, [361] * 6]
        assert (found["events"], found["forgotten"]) == (240, True)
        assert (found["left"], found["means"], found["since"]) == ([1e9], 0, 1e9)
        assert found["why"] == "the clock was set back"


def frozen(page: Page) -> list[str | None]:
    """Give what a pause must not change."""
    line = page.get_attribute("[data-figure=rate] .series[data-world=net]", "d")
    return [line, page.inner_text("#net .tiles"), *cells(page, "rate"), read(page)]


def test_a_pause_freezes_the_page_and_counts_and_never_keeps_a_dead_server_green(
    chromium: Browser,
) -> None:
    green = "#net [data-node]:not([data-state=client], [data-state=absent])"
    with board() as made:
        made.remember(30)
        port = int(made.url.rstrip("/").rsplit(":", 1)[1])
        with b.open_page(chromium, made.url) as opened:
            page = opened.page
            opened.await_all_up("docker")
            page.keyboard.press("p")
            assert page.get_attribute("#pause", "aria-pressed") == "true"
            before = frozen(page)
            for at in range(1, 6):
                made.take("net", time.time(), rate=5.0 + at)
                counted = f"{at} newer sample{'s' if at > 1 else ''}"
                page.wait_for_selector(f'#paused:text-matches("^paused since .{{8}}, {counted}$")')
            page.wait_for_timeout(3_200)  # what is drawn every third second
            assert frozen(page) == before
            assert page.title().startswith("paused: ")
            page.click("#pause")
            page.wait_for_selector('#net [data-of="rate"]:text-is("10")')
            await_cells(page, "rate", "10", "1,118", "+1,108", "+11,084 %")
            assert page.inner_text("#paused") == ""
            page.keyboard.press("Control+p")  # the browser's own
            assert page.get_attribute("#pause", "aria-pressed") == "false"
            page.keyboard.press("p")
            made.stop()  # as when the server is killed
            page.wait_for_selector('#link[data-state="lost"]')
            page.wait_for_selector(green, state="detached")
            assert page.inner_text("#paused").startswith("paused since ")
            line = frozen(page)[0]
            assert line  # what was is still to be read
            with board(port=port) as again:
                again.remember(3)
                with again.speaking(*WORLDS):
                    page.wait_for_selector('#link[data-state="live"]', timeout=b.TIMEOUT_MS)
                    lost = '#net [data-of="verdict"]:has-text("lost while the page was paused")'
                    page.wait_for_selector(lost)
                    assert page.locator(green).count() == 0
                    assert frozen(page)[0] == line
                    page.keyboard.press("p")
                    opened.await_all_up("net")
                    kept = '#kept:has-text("when the dashboard was started again")'
                    page.wait_for_selector(kept)
                    assert len(page.evaluate(PIECES, ["rate", "net"])) == 1
                    assert page.title() == "twinstack: both worlds, live"
            opened.messages.clear()  # the browser's own: connection refused


def saved(page: Page, kind: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.click(f"[data-save={kind}]")
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file


def test_what_is_shown_is_saved_exactly_and_opens_by_itself(
    chromium: Browser, tmp_path: Path
) -> None:
    with board() as made:
        now = time.time()
        remember(made, now, 400, rate=DOCKER, mean_ms=None)
        made.take("net", now + 0.5)
        made.take("docker", now + 0.5)
        with b.open_page(chromium, made.url) as opened:
            page = opened.page
            opened.await_all_up("docker")
            page.keyboard.press("p")
            table = saved(page, "csv", tmp_path)
            assert table.name.startswith("twinstack-20")
            assert table.name.endswith("Z-5min.csv")
            rows = list(csv.DictReader(io.StringIO(table.read_text())))
            docker = [row for row in rows if row["world"] == "docker"]
            assert 295 <= len(docker) <= 302
            assert {float(row["requests (requests/s)"]) for row in docker} == {DOCKER, 1118.4}
            net = [row for row in rows if row["world"] == "net"]
            assert {float(row["requests (requests/s)"]) for row in net} == {NET, 1118.4}
            assert {row["mean latency (ms)"] for row in docker[:-1]} == {""}
            assert float(net[0]["time (s since 1970)"]) in {now - at for at in range(400)}
            document = json.loads(saved(page, "json", tmp_path).read_text())
            assert document["units"]["memory_bytes"] == "bytes"
            assert len(document["rows"]) == len(rows)
            assert document["rows"][0]["rate"] in {NET, DOCKER}
            assert document["rows"][-1]["at"] == now + 0.5
            for kind, words in (("charts", "Docker"), ("net", "product-"), ("docker", "nginx-lb")):
                file = saved(page, kind, tmp_path)
                assert file.suffix == ".svg"
                text = file.read_text()
                ElementTree.fromstring(text)
                assert "var(" not in text
                alone = opened.context.new_page()
                alone.on("console", lambda message: opened.messages.append(message.text))
                alone.goto(file.as_uri())
                assert words in str(alone.locator("svg").first.text_content())
                assert alone.screenshot()
                alone.close()
            choose(page, "1 h")
            hour = saved(page, "csv", tmp_path)
            assert hour.name.endswith("-60min.csv")
            assert len(list(csv.DictReader(io.StringIO(hour.read_text())))) in {80, 82}
