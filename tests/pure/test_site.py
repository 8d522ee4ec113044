"""The site that `make docs` builds: whole, without a dead link, nothing of it from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.project import ROOT


@dataclass
class Read(HTMLParser):
    """What a page of the site offers, and what it asks for."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)  # followed by a reader
    parts: list[str] = field(default_factory=list)  # loaded with the page

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if "href" in given:
            (self.links if tag == "a" else self.parts).append(given["href"])
        self.parts += [given[name] for name in ("src", "data", "srcset") if name in given]


def read(page: Path) -> Read:
    found = Read()
    found.feed(page.read_text())
    return found


def dead_links(site: Path) -> list[str]:
    """Name each internal link or part of a page that leads nowhere, as "page: target"."""
    pages = {page.resolve(): read(page) for page in sorted(site.rglob("*.html"))}
    dead = []
    for page, found in pages.items():
        for target in (*found.links, *found.parts):
            to = urlsplit(target)
            if to.scheme or to.netloc:
                continue
            there = (page.parent / unquote(to.path)).resolve() if to.path else page
            anchors = pages[there].anchors if there in pages else set()
            if not there.is_file() or (to.fragment and unquote(to.fragment) not in anchors):
                dead.append(f"{page.relative_to(site.resolve())}: {target}")
    return dead


def foreign_parts(site: Path) -> list[str]:
    """Name what a page would load from elsewhere; a reader's links may lead anywhere."""
    parts = [
        (page, target)
        for page in sorted(site.rglob("*.html"))
        for target in read(page).parts
        if urlsplit(target).netloc
    ]
    parts += [
        (sheet, target)
        for sheet in sorted(site.rglob("*.css"))
        for target in re.findall(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)", text(sheet))
    ]
    return [f"{file.relative_to(site)}: {target}" for file, target in parts]


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as `make docs` does, elsewhere: any warning of Sphinx's is an error."""
    folder = tmp_path_factory.mktemp("site")
    recipe = re.search(
        r"^\t@\S+ (-m sphinx .*) -d \S+ \. \S+$", text(ROOT / "Makefile"), flags=re.M
    )
    assert recipe is not None
    command = [sys.executable, *recipe[1].split(), "-d", str(folder / "trees"), "."]
    built = subprocess.run(
        [*command, str(folder / "html")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


def test_every_page_is_in_the_site_and_the_readme_is_its_index(site: Path):
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/course/*.md")]
    sources = {page.relative_to(ROOT).with_suffix(".html") for page in pages}
    assert sources | {Path("CONTRIBUTING.html")} <= {
        page.relative_to(site) for page in site.rglob("*.html")
    }
    assert text(site / "index.html") == text(site / "README.html")
    linked = {urlsplit(target).path for target in read(site / "index.html").links}
    assert {str(page) for page in sources} <= linked  # by the navigation


def test_every_link_of_the_site_leads_somewhere(site: Path):
    assert dead_links(site) == []


def test_the_site_loads_nothing_from_elsewhere(site: Path):
    assert foreign_parts(site) == []


def test_the_search_knows_every_page_but_kept_results(site: Path):
    index = json.loads(re.sub(r"^Search\.setIndex\(|\)$", "", text(site / "searchindex.js")))
    names = index["docnames"]
    found = {
        names[number]
        for numbers in index["terms"].values()
        for number in (numbers if isinstance(numbers, list) else [numbers])
    }
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/course/*.md")]
    assert {str(page.relative_to(ROOT).with_suffix("")) for page in pages} <= found
    assert [name for name in found if name.startswith("bench/results/")] == []


def test_what_is_wrong_with_a_site_is_noticed(tmp_path: Path):
    (tmp_path / "style.css").write_text("@import '//fonts.example/a.css';p{color:url(a.png)}")
    (tmp_path / "a.html").write_text(
        '<h1 id="top"><a href="#none"><a href="#top"><a href="b.html"><img src="none.svg">'
        '<a href="https://example.org/"><script src="https://cdn.example/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<a href="a.html#top"><a href="a.html#gone">')
    assert dead_links(tmp_path) == [
        "a.html: #none",
        "a.html: none.svg",
        "b.html: a.html#gone",
    ]
    assert foreign_parts(tmp_path) == [
        "a.html: https://cdn.example/x.js",
        "style.css: //fonts.example/a.css",
    ]
