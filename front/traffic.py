"""The tasks that look at traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from invoke.context import Context

from front import invocation
from front.answering import JSON, answer, guarded, say, task
from twinstack import stack, tables
from twinstack.errors import TwinstackError
from twinstack.observe.naming import Names
from twinstack.observe.page import page
from twinstack.observe.report import Traffic
from twinstack.observe.sections import Section, headline, sections
from twinstack.observe.traffic import analyse
from twinstack.plan import resolve

#: Of a table in the terminal; the JSON document has all of them.
MOST_ROWS = 20
SUFFIXES = (".pcap", ".pcapng")


@task(positional=["file"],
      help={"file": "a capture (pcap, pcapng), or a folder of them",
            "html": "write a page to this file as well", **JSON})  # fmt: skip
@guarded
def traffic_report(_: Context, file: str, html: str = "", json: bool = False) -> None:
    """Report captures by service: traffic.report FILE (or a folder; further ones: -- FILE …)."""
    here = stack.from_environment()
    topology = here.topology()
    names = Names([resolve(topology, shape, here.instance) for shape in topology.shapes])
    files = [Path(word) for word in (file, *invocation.after_dashes())]
    found = analyse(captures_in(files), names)
    if html:
        _write(Path(html), page(found, here.repository / "templates"))
    answer(json, asdict(found), text(found))


def captures_in(paths: Sequence[Path]) -> list[Path]:
    """Put the captures of a folder in its place. Raises: TwinstackError when it has none."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES)
        if not inside:
            raise TwinstackError(
                str(path), "holds no capture", f"no file there ends in {' or '.join(SUFFIXES)}",
                "name the files",
            )  # fmt: skip
        found += inside
    return found


def text(found: Traffic) -> str:
    """Write the report for a terminal."""
    parts = [headline(found), *(f"! {note}" for note in found.notes)]
    return "\n\n".join(["\n".join(parts), *(_table(section) for section in sections(found))])


def _table(section: Section) -> str:
    shown = section.rows[:MOST_ROWS]
    cells = [[cell.text for cell in row] for row in shown]
    header = [column.name for column in section.columns]
    for number, column in enumerate(section.columns):
        if column.number:
            width = max(len(row[number]) for row in [header, *cells])
            header[number] = header[number].rjust(width)
            for row in cells:
                row[number] = row[number].rjust(width)
    lines = [f"{section.title} ({section.says})", tables.columns(header, cells)]
    if len(section.rows) > len(shown):
        lines.append(f"… and {len(section.rows) - len(shown)} more: --json has them all")
    return "\n".join(lines)


def _write(path: Path, content: str) -> None:
    if path.is_dir():
        raise TwinstackError(str(path), "cannot be written", "it is a folder", "name a file")
    path.write_text(content, encoding="utf-8")
    say(f"written: {path}")


#: The collection `traffic`, by the word after its dot.
TASKS = {
    "report": traffic_report,
}
