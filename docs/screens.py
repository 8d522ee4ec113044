"""Draw what commands print on a terminal: `.venv/bin/python -m docs.screens` writes docs/*.svg.

A session is text with a terminal's escape codes. Those that need a running world are kept in
docs/recorded/, where `docs/record.py` writes them, with a last line that says when and on what they
were recorded; the others are run here. Rich draws them; of its file only text and colours are
taken, as the frame that it draws loads a font from elsewhere and has one scheme.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from docs import tables
from twinstack.observe.svg import MARGIN, STYLE, Box, document, rect, text

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
COLUMNS = 80
#: What the page of tasks shows: no world is needed for it.
TASKS = ("invoke --list net", "invoke net.scale --help")
_TITLES = {
    "drill": "A drill: a repair that does too much is refused, one that is whole is not",
    "faq": "Four of the answers, on a terminal",
    "live": "A service is restarted while it serves",
    "logs": "One request's lines in the logs of all services",
    "tour": "Two screens of the tour: a veth pair and its bridge; a flow denied",
    "tasks": "The tasks of one noun, and the help of one of them",
    "course-1": "Half of day 1 is built, and course.check says what differs",
    "course-2": "The last chain of day 2 is filled, and localhost:8080 answers",
    "course-3": "Three replicas of one service take their turns",
    "course-4": "One request in the capture, and what course.check says of the day",
    "course-5": "One chain of the policy is empty: what course.check says, and why",
    "course-6": "A container made by hand, and a namespace beside it on one bridge",
    "course-7": "A tunnel that nothing is known to be behind",
}
# Rich's own measures at this ratio of a letter's width to its height. Units: px.
_RATIO, _LETTER, _LINE = 0.6, 12, 24.4
_PARTS = "{styles}\f{backgrounds}{matrix}\f{lines}"

Colour = tuple[int, int, int]


def _theme(ground: str, ink: str, colours: str) -> TerminalTheme:
    """Make a theme; the bright colours are the normal ones, but not quite: their rules differ."""
    normal = [_colour(one) for one in colours.split()]
    bright = [(red ^ 1, green, blue) for red, green, blue in normal]
    return TerminalTheme(_colour(ground), _colour(ink), normal, bright)


def _colour(written: str) -> Colour:
    red, green, blue = bytes.fromhex(written)
    return red, green, blue


# Black, red, green, yellow, blue, magenta, cyan, white, as they can be read on their ground.
_LIGHT = _theme("f3f5f8", "1d2733", "333d4a b3261e 1b6e20 8a5a00 1f5fa8 8e3a9d 00697a 56657a")
_DARK = _theme("1a2029", "e7ecf3", "8d9bb0 ff8a80 7ccf80 e0a548 64aee6 d79be6 5cc9d6 a3b0c2")


def screen(session: str, title: str, note: str = "") -> str:
    """Draw a session; a line that is too long goes on in the next, as on a terminal. Pure."""
    console = Console(
        record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    rows = 0
    for line in Text.from_ansi(session).split(allow_blank=True):
        for start in range(0, max(len(line), 1), COLUMNS):
            console.print(line[start : start + COLUMNS], overflow="ignore", highlight=False)
            rows += 1
    light, drawn, clips = _exported(console, _LIGHT)
    dark, _, _ = _exported(console, _DARK)
    style = (
        f"{STYLE}text{{font:20px ui-monospace,monospace}}{light}"
        f"@media (prefers-color-scheme:dark){{{dark}}}"
    )
    height = rows * _LINE + 2 * MARGIN + 8
    width = COLUMNS * _LETTER + 2 * MARGIN
    parts = [
        f"<defs>{clips}</defs>",
        rect(Box(0.5, 0.5, width - 1, height - 1), "band", radius=8),
        f'<g transform="translate({MARGIN} {MARGIN})">{drawn}</g>',
    ]
    if note:
        height += 30
        parts.append(text(MARGIN, height - 10, note, "dim"))
        style += ".dim{font:17px system-ui,sans-serif}"
    return document(parts, title, height, width, style)


def _exported(console: Console, theme: TerminalTheme) -> tuple[str, str, str]:
    """Give the rules, the text and the clips of what was printed."""
    whole = console.export_svg(
        title="",
        theme=theme,
        clear=False,
        code_format=_PARTS,
        unique_id="t",
        font_aspect_ratio=_RATIO,
    )
    rules, drawn, clips = whole.split("\f")
    return rules, re.sub(r"<text[^>]*>\n</text>", "", drawn), clips  # ends of lines


def prompt(line: str) -> str:
    """Write a command as it is typed."""
    return f"\x1b[1m$ {line}\x1b[0m"


def recorded(name: str) -> tuple[str, str]:
    """Give a session that is kept, and when and on what it was recorded."""
    session, _, note = (RECORDED / f"{name}.txt").read_text(encoding="utf-8").rpartition("\n\n")
    return session, note.strip()


def tasks_session() -> str:
    """Ask Invoke what the page of tasks shows."""
    beside = Path(sys.executable).parent
    own = {key: value for key, value in os.environ.items() if not key.startswith("INVOKE_")}
    environment = {**own, "COLUMNS": str(COLUMNS), "PATH": f"{beside}:{os.environ['PATH']}"}
    parts = []
    for line in TASKS:
        done = subprocess.run(
            line.split(),
            cwd=HERE.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        parts += [prompt(line), done.stdout.strip("\n"), ""]
    return "\n".join(parts[:-1])


def pictures() -> dict[str, str]:
    """Draw every session, and the Swarm, by its file's name."""
    drawn = {}
    for name in _TITLES:
        course = name.startswith("course-")
        if name != "tasks" and (not course or (RECORDED / f"{name}.txt").exists()):
            file = f"course/day-{name.removeprefix('course-')}" if course else name
            drawn[f"{file}.svg"] = screen(*_titled(name))
    drawn["tasks.svg"] = screen(tasks_session(), _TITLES["tasks"])
    swarm = json.loads((RECORDED / "swarm.json").read_text(encoding="utf-8"))
    drawn["swarm.svg"] = tables.swarm(swarm["status"], swarm["recorded"])
    return drawn


def _titled(name: str) -> tuple[str, str, str]:
    session, note = recorded(name)
    return session, _TITLES[name], note


def main() -> None:
    """Write the pictures beside this file."""
    for name, picture in pictures().items():
        (HERE / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
