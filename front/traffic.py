"""The tasks that look at traffic; what reads packets is imported when wanted, as it takes time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from invoke.context import Context

from front import invocation
from front.answering import JSON, answer, end, guarded, root, say, task
from front.worlds import WORLD, world_of
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds

#: What a folder's captures are told by.
SUFFIXES = (".pcap", ".pcapng")
MOST_SNAP, MOST_MEGABYTES, MOST_FILES = 262_144, 1_000_000, 1_000
CHOICE = {
    "link": "an interface, by its name, replica/name, or the replica; may be repeated",
    "bridge": "a bridge, by its name or segment; may be repeated",
    "everything": "every bridge and both ends of every link",
}


@task(
    iterable=["link", "bridge"],
    help={
        **WORLD,
        **CHOICE,
        "seconds": "how long; 0: until Ctrl-C",
        "snap": "bytes kept of each packet; 0: all",
        "size": "most MB of a file",
        "rotate": "most files of a link: the newest; with 1 a full file ends it",
        "out": "the folder of the files",
        **JSON,
    },
)
@guarded
def traffic_capture(
    _: Context,
    link: list[str],
    bridge: list[str],
    world: str = "net",
    everything: bool = False,
    seconds: int = 10,
    snap: int = 128,
    size: int = 100,
    rotate: int = 2,
    out: str = "",
    json: bool = False,
) -> None:
    """Capture a world's bridges, or chosen links, a pcapng file each, in the kernel's ring."""
    from twinstack.observe.capture import live, targets
    from twinstack.observe.capture.record import capture

    bounds.within("seconds", seconds, 0, bounds.MOST_SECONDS, "it is a time; 0 goes on")
    bounds.within("snap", snap, 0, MOST_SNAP, "it is a number of bytes; 0 keeps all")
    bounds.within("size", size, 1, MOST_MEGABYTES)
    bounds.within("rotate", rotate, 1, MOST_FILES)
    root("traffic.capture")
    there = targets.there(world, world_of(world).links())
    links = targets.chosen(there, link, bridge, everything=everything)
    wanted = targets.CaptureOptions(seconds, snap, size * 1_000_000, rotate)
    folder = Path(out or f"captures/{world}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    say("same as (all at once, in a folder that is there):")
    for one in links:
        say(f"    {targets.same_as(one, folder, wanted)}")
    found = capture(links, folder, wanted, progress=say)
    answer(json, asdict(found), live.text(found))
    end(1 if any(one.failed for one in found.links) else 0)


@task(
    positional=["file"],
    help={
        "file": "a capture (pcap, pcapng), or a folder of them; none: listen to a world",
        "html": "write a page to this file as well",
        **WORLD,
        "seconds": "how long to listen",
        **JSON,
    },
)
@guarded
def traffic_report(
    _: Context,
    file: str = "",
    html: str = "",
    world: str = "net",
    seconds: int = 10,
    json: bool = False,
) -> None:
    """Report traffic by service: of captures (FILE, a folder, -- FILE …), or live without any."""
    from twinstack.model.plan import resolve
    from twinstack.observe.capture import live, targets
    from twinstack.observe.traffic.analysis import analyse
    from twinstack.observe.traffic.html import page
    from twinstack.observe.traffic.peers import PeerDirectory
    from twinstack.observe.traffic.text import text

    here = stack.from_environment()
    topology = here.topology()
    plans = [resolve(topology, shape, here.instance) for shape in topology.shapes]
    files = [Path(word) for word in (file, *invocation.after_dashes()) if word]
    _writable(html)
    if files:
        found = analyse(captures_in(files), PeerDirectory(plans))
    else:
        bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
        root("traffic.report")
        links = targets.outer(targets.there(world, world_of(world).links()))
        found = live.listened(links, plans, seconds, say)
    if html:
        _write(Path(html), page(found, here.repository / "templates"))
    answer(json, asdict(found), text(found, max(shutil.get_terminal_size().columns, 80)))


@task(
    help={
        "world": "net, docker, or both",
        "path": "what to ask the edge for",
        "times": "requests, of which the middling one is shown",
        "svg": "draw it into this file as well",
        **JSON,
    }
)
@guarded
def traffic_journey(
    _: Context,
    world: str = "net",
    path: str = "/api/products",
    times: int = 1,
    svg: str = "",
    json: bool = False,
) -> None:
    """Follow one request over every link: where its time went, NAT, the rules that counted it."""
    from twinstack.observe.journey import text as waterfall
    from twinstack.observe.journey.send import middling
    from twinstack.observe.journey.waterfall import waterfall as draw

    names = ("net", "docker") if world == "both" else (world,)
    bounds.times(times)
    _writable(svg)
    root("traffic.journey")
    worlds = [world_of(name, "net, docker or both") for name in names]
    found = [middling(one, path, times, say) for one in worlds]
    if svg:
        _write(Path(svg), draw(found))
    told = waterfall.text(found[0]) if len(found) == 1 else waterfall.side_by_side(found)
    answer(json, {"journeys": [asdict(one) for one in found]}, told)


def captures_in(paths: Sequence[Path]) -> list[Path]:
    """Put the captures of a folder in its place. Raises: TwinstackError when there are none."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise TwinstackError(
                str(path),
                "cannot be read",
                "it is not there",
                "name a capture, or a folder of them",
            )
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES)
        if not inside:
            raise TwinstackError(
                str(path),
                "holds no capture",
                f"no file there ends in {' or '.join(SUFFIXES)}",
                "name the files",
            )
        found += inside
    return found


def _writable(name: str) -> None:
    """Refuse a file that cannot be, before there is anything to lose. Raises: TwinstackError."""
    path = Path(name)
    if name and path.is_dir():
        raise TwinstackError(name, "cannot be written", "it is a folder", "name a file")
    if name and not path.parent.is_dir():
        raise TwinstackError(
            name, "cannot be written", f"{path.parent} is no folder", "name a file in one that is"
        )


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    say(f"written: {path}")


#: The collection `traffic`, by the word after its dot.
TASKS = {
    "capture": traffic_capture,
    "journey": traffic_journey,
    "report": traffic_report,
}
