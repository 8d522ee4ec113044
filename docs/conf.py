"""Sphinx's configuration: `make docs` builds a site from README.md and the pages beside this file.

The pages stay plain Markdown, as GitHub shows it, and so do their links: to a page it leads to the
page, to any other file it gives that file, to a folder the list of its files. Here is what a site
needs beside the pages: the navigation, index.html, and the list of the schemas.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent

#: The navigation. A page that is in none of the groups fails the build.
GROUPS = {
    "Start": ["docs/seed", "docs/tour", "docs/habits", "docs/services", "docs/host", "docs/faq"],
    "Course": ["docs/course/README", *(f"docs/course/day-{day}" for day in range(1, 8))],
    "The two worlds": [
        "docs/architecture",
        "docs/namespaces",
        "docs/nat",
        "docs/docker",
        "docs/confinement",
        "docs/policy",
        "docs/live",
        "docs/overlay",
        "docs/swarm",
    ],
    "Looking": [
        "docs/dashboard",
        "docs/topology",
        "docs/logs",
        "docs/metrics",
        "docs/connections",
        "docs/traffic",
        "docs/journey",
        "docs/why",
    ],
    "Breaking": ["docs/drill", "docs/chaos", "docs/orders"],
    "Measuring": ["docs/benchmark", "docs/scale", "bench/README"],
    "Reference": [
        "docs/tasks",
        "docs/policy-cis",
        "services/README",
        "CONTRIBUTING",
        "CHANGELOG",
    ],
}
#: A folder that pages link to as such, if it is there.
SCHEMAS = "docs/schemas"
#: Kept results are pages too, since pages cite them; a search would find little else.
_RESULT = "---\norphan: true\nnosearch: true\n---\n\n"

project = "twinstack"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/course/*.md", "*/README.md", "bench/results/*.md"]
exclude_patterns = [".*", "build", "wheelhouse"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "twinstack"
html_static_path: list[str] = []
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def navigation() -> str:
    """Write the groups as toctrees, in Markdown."""
    trees = (
        "\n".join(["```{toctree}", f":caption: {title}", ":hidden:", "", *pages, "```", ""])
        for title, pages in GROUPS.items()
    )
    return "\n".join(["", *trees])


def _complete(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add to a page's text what only the site needs."""
    if page == root_doc:
        source[0] += navigation()
    if page.startswith("bench/results/"):
        source[0] = _RESULT + source[0]
    source[0] = re.sub(
        r"\[([^]]+)\]\(((?:[\w.-]+/)+)\)", r'<a href="\2index.html">\1</a>', source[0]
    )


def _list_schemas(_app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    files = sorted((ROOT / SCHEMAS).glob("*.json"))
    if files:
        links = (
            f'<li><a href="{escape(each.name)}">{escape(each.stem)}</a></li>' for each in files
        )
        body = f"<h1>Schemas</h1><p>What each task prints with --json.</p><ul>{''.join(links)}</ul>"
        yield f"{SCHEMAS}/index", {"title": "Schemas", "body": body}, "page.html"


def _copy(app: Sphinx, error: Exception | None) -> None:
    """Make the README the site's index too (its links are relative), and give the schemas."""
    first = Path(app.outdir, f"{root_doc}.html")
    if error is None and first.exists():
        shutil.copyfile(first, first.with_name("index.html"))
        for schema in (ROOT / SCHEMAS).glob("*.json"):
            shutil.copy(schema, app.outdir / SCHEMAS)


def setup(app: Sphinx) -> None:
    """Register these with Sphinx."""
    app.connect("source-read", _complete)
    app.connect("html-collect-pages", _list_schemas)
    app.connect("build-finished", _copy)
