"""The pages are true: links lead somewhere, tasks and files exist, pictures are the Plan's."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from invoke.main import program
from invoke.parser import Parser

import tasks
from docs import draw, figures, screens
from docs import tasks as reference_page
from docs.draw import HERE
from tests.support.project import ROOT, committed_files
from twinstack.course.days import LESSONS
from twinstack.observe.svg import STYLE

COURSE = sorted((HERE / "course").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted(HERE.glob("*.md")), *COURSE]
#: A word in backticks is held to be a path of ours when it begins with one of these.
TOP = {path.relative_to(ROOT).parts[0] for path in committed_files()}
#: What makes pictures again without root, by the module to run.
DRAWN = {
    "docs.draw": draw.pictures(),
    "docs.figures": figures.pictures(figures.RESULTS),
    "docs.screens": screens.pictures(),
}
#: Made by a run: a fresh clone has none.
MADE = {"bench/results", "build/site/index.html", "build/site"}
#: Words that look like a task and are none: the package.
NO_TASKS = {"docker.io"}


SVG = "{http://www.w3.org/2000/svg}"


def prose(page: Path) -> str:
    """Give a page without its blocks of output: what stands there was printed, not promised."""
    return re.sub(r"^```text\n.*?^```$", "", page.read_text(), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def dead_links(page: Path, text: str) -> list[str]:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        target = "".join(link)
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    return dead


def unknown_tasks(text: str) -> list[str]:
    known = {name for one in tasks.namespace.task_names.items() for name in (one[0], *one[1])}
    groups = set(tasks.namespace.collections)
    said = set(re.findall(r"\binvoke ([a-z]+(?:\.[a-z]+)?)\b", text))
    said |= {
        word
        for word in re.findall(r"`([a-z]+\.[a-z]+)\b(?![.-])", text)
        if word.partition(".")[0] in groups
    }
    return sorted(said - known - groups - NO_TASKS)


def missing_paths(text: str) -> list[str]:
    missing = []
    for word in re.findall(r"`([\w./-]+)`", text):
        first = word.partition("/")[0]
        ours = first in TOP and ("/" in word or "." in word) and word.rstrip("/") not in MADE
        if ours and not (ROOT / word).exists():
            missing.append(word)
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_link_leads_somewhere(page: Path):
    assert dead_links(page, page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_task_named_exists(page: Path):
    assert unknown_tasks(prose(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_path_named_exists(page: Path):
    assert missing_paths(prose(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_lines_are_short(page: Path):
    long = [line for line in prose(page).splitlines() if len(line) > 100 and "|" not in line]
    assert long == []


def test_every_page_has_a_picture():
    picture = re.compile(r"^!\[[^]]+\]\(\S+\)$", re.M)
    assert [page.stem for page in PAGES if not picture.search(page.read_text())] == []


def test_the_readme_names_every_task_of_the_seed_and_its_checks():
    readme = (ROOT / "README.md").read_text()
    for words in (
        "make bench",
        "make test",
        "invoke net.up",
        "invoke docker.up",
        "invoke bench",
        "invoke clean",
        "ip netns list",
        "ip addr show br-app",
        "curl http://10.0.0.10/health",
        "curl http://10.0.0.10/api/products",
        "docker ps",
        "docker-compose up -d",
        "curl http://localhost:3000/api/products",
    ):
        assert words in readme, words


def test_the_task_reference_is_made_from_the_tasks_as_they_are():
    assert reference_page.PAGE.read_text() == reference_page.reference(), (
        "stale: run .venv/bin/python -m docs.tasks"
    )


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180


def test_the_layers_drawn_are_those_that_are_held():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = config["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["id"] == "layers")
    held = [re.findall(r"\w+", layer.replace("twinstack.", "")) for layer in layers]
    page = (HERE / "architecture.md").read_text()
    drawing = page.partition("<!-- LAYERS -->")[2].partition("<!-- /LAYERS -->")[0]
    drawn = [re.findall(r"\w+", row) for row in re.findall(r"^│(.*?)│", drawing, flags=re.M)]
    assert drawn == held


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, own in DRAWN.items() for name in own]
)
def test_a_picture_is_as_it_is_made_now(module: str, name: str):
    made = (HERE / name).read_text()
    assert made == DRAWN[module][name], f"stale: run .venv/bin/python -m {module} ({name})"


@pytest.mark.parametrize("name", ["topology-net", "topology-wrong", "topology-docker", "journey"])
def test_a_picture_of_a_running_world_has_the_style_of_today(name: str):
    made = (HERE / f"{name}.svg").read_text()
    assert f"<style>{STYLE}" in made, "stale: run .venv/bin/python -m docs.record (root)"


@pytest.mark.parametrize("file", sorted(HERE.rglob("*.svg")), ids=lambda file: file.name)
def test_a_picture_has_words_both_schemes_and_nothing_from_elsewhere(file: Path):
    assert wrong_in_picture(file.read_text()) == []


def wrong_in_picture(text: str) -> list[str]:
    """Name what a picture must not have, or lacks."""
    root = ElementTree.fromstring(text)
    words = [word for each in root.iter(f"{SVG}text") for word in each.itertext() if word.strip()]
    given = [value for each in root.iter() for value in each.attrib.values()]
    found = {f"loads {each}" for each in re.findall(r"url\(([^)#]+)\)", text)}
    found |= {f"leads to {each}" for each in given if "//" in each}
    lacks = {
        "words": bool(words),
        "a title": bool(root.findtext(f"{SVG}title")),
        "a dark scheme": bool(re.search(r"prefers-color-scheme: ?dark", text)),
    }
    return sorted(found) + [f"lacks {what}" for what, has in lacks.items() if not has]


def test_what_is_wrong_is_noticed():
    page = ROOT / "README.md"
    assert dead_links(page, "[a](docs/none.md) [b](Makefile#none) [c](#none)") == [
        "docs/none.md",
        "Makefile#none",
        "#none",
    ]
    assert unknown_tasks("run `invoke net.upp`, `docker.fly` or invoke cleen") == [
        "cleen",
        "docker.fly",
        "net.upp",
    ]
    assert missing_paths("`twinstack/model/plan.py` `twinstack/none.py`") == ["twinstack/none.py"]
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg"><style>@font-face{src:url(//a.example/f)}</style>'
        '<image href="https://a.example/i"/><text> </text></svg>'
    )
    assert wrong_in_picture(picture) == [
        "leads to https://a.example/i",
        "loads //a.example/f",
        "lacks words",
        "lacks a title",
        "lacks a dark scheme",
    ]


def habits() -> dict[str, str]:
    """Give what serves each habit, by the habit."""
    rows = [line.split(" | ") for line in (HERE / "habits.md").read_text().splitlines()]
    return {row[0].strip("| "): row[-1] for row in rows if len(row) == 3 and "habit" not in row[0]}


def test_no_habit_was_lost() -> None:
    assert len(habits()) == 21


@pytest.mark.parametrize("habit", habits())
def test_a_habit_has_a_command_that_can_be_given(habit: str) -> None:
    served = habits()[habit]
    assert "`" in served or "](" in served
    for command in re.findall(r"`invoke ([^`]+)`", served):
        check_command(command)


def check_command(command: str) -> None:
    """Check that a task is there and takes the options: `command` is what follows invoke."""
    parser = Parser(initial=program.initial_context, contexts=tasks.namespace.to_contexts())
    words = command.split(" -- ")[0].split()
    given = parser.parse_argv(words)
    named = [each.name for each in given[1:] if each.name]
    assert len(named) == (words[0][0] != "-"), command


def invoked(page: Path) -> list[str]:
    """List the tasks of a page that are given as commands, by what follows invoke."""
    text = page.read_text()
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, flags=re.M | re.S))
    lines = re.findall(r"\binvoke ([^#\n|&;]+)", blocks)
    lines += re.findall(r"`invoke ([^`]+)`", text.replace("\n", " "))
    return [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("page", COURSE, ids=lambda page: page.name)
def test_the_commands_of_a_lesson_can_be_given(page: Path) -> None:
    for command in invoked(page):
        check_command(command)


@pytest.mark.parametrize("page", COURSE, ids=lambda page: page.name)
def test_the_shell_of_a_lesson_can_be_read(page: Path) -> None:
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.M | re.S):
        done = subprocess.run(
            ["bash", "-n"], input=block, text=True, capture_output=True, check=False
        )
        assert done.stderr == "", block


def test_each_day_has_a_page_with_what_a_lesson_needs() -> None:
    days = [page for page in COURSE if page.stem != "README"]
    assert [page.stem for page in days] == [f"day-{each.day}" for each in LESSONS]
    for page, lesson in zip(days, LESSONS, strict=True):
        text = page.read_text()
        heads = re.findall(r"^## (.+)$", text, flags=re.M)
        assert text.startswith(f"# Day {lesson.day}: "), page
        assert heads[0] == "The idea"
        assert {"Questions", "Break it", "Read next"} <= {*heads}, page
        assert f"invoke course.start {lesson.day}\n" in text, page
        assert text.count("<details>") == text.count("</details>") >= 5, page
