"""Other versions of the services: copies of ours in which one application does something more."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.project import ROOT

#: What the application of a version does besides; each is Python at the end of its module.
MARKED = """
_own = app
def app(environ, start_response):
    def start(status, headers, *more):
        return start_response(status, [*headers, ("X-Release", "{mark}")], *more)
    {first}
    return _own(environ, start)
"""
BROKEN = "\nraise RuntimeError('this version is broken')\n"
#: 500 for everything but its health.
FAILING = """
_own = app
def app(environ, start_response):
    if environ["PATH_INFO"] == "/health":
        return _own(environ, start_response)
    start_response("500 Internal Server Error", [("Content-Type", "application/json")])
    return [b'{"error": "planted"}']
"""


def marked(mark: str, first: str = "pass") -> str:
    """Give an application that marks its responses, and does something `first`."""
    return MARKED.format(mark=mark, first=first)


def version(home: Path, package: str, more: str) -> Path:
    """Write a services/ directory below `home` in which one package's application does more."""
    made = home / "services"
    ignored = shutil.ignore_patterns("__pycache__", "*.md")
    shutil.copytree(ROOT / "services", made, ignore=ignored)
    with (made / package / "app.py").open("a") as file:
        file.write(more)
    return made
