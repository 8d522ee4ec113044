"""The tasks that look at traffic."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from invoke.context import Context

from front import invocation
from front.answering import JSON, answer, guarded, say, task
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.observe.naming import Names
from twinstack.observe.page import page
from twinstack.observe.terminal import text
from twinstack.observe.traffic import analyse
from twinstack.plan import resolve

#: What a folder's captures are told by.
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
    answer(json, asdict(found), text(found, max(shutil.get_terminal_size().columns, 80)))


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


def _write(path: Path, content: str) -> None:
    if path.is_dir():
        raise TwinstackError(str(path), "cannot be written", "it is a folder", "name a file")
    path.write_text(content, encoding="utf-8")
    say(f"written: {path}")


#: The collection `traffic`, by the word after its dot.
TASKS = {
    "report": traffic_report,
}
