"""The tasks that capture and analyse traffic. Packet readers are slow to import: only when used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from front import invocation
from front.options import EITHER, require_writable, up_among, worlds_of
from front.reporting import answer, end, say, show, task, width
from twinstack import stack
from twinstack.errors import NOT_SO, WrongUse
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.model.plan import Plan
    from twinstack.observe.traffic.report import TrafficReport
    from twinstack.world import LocalWorld

#: File name extensions of captures in a folder.
SUFFIXES = (".pcap", ".pcapng")
MAX_SNAP, MAX_MEGABYTES, MAX_FILES = 262_144, 1_000_000, 1_000


@task(
    iterable=["link", "bridge"],
    help={
        "link": "an interface to capture: its name, replica/name or a replica; may be repeated",
        "bridge": "a bridge to capture: its name or its segment; may be repeated",
        "everything": "capture every bridge and both ends of every link",
        "seconds": "how long to capture; 0: until Ctrl-C",
        "snap": "bytes to keep of each packet; 0: all",
        "size": "maximum size of a file in MB",
        "rotate": "number of newest files to keep of each link; 1: stop at the first full file",
        "out": "the folder to write to, one in it for each world if both are up; unset: new ones in"
        " captures/",
        **EITHER,
    },
)
def traffic_capture(
    _: Context,
    link: list[str],
    bridge: list[str],
    world: str = "both",
    everything: bool = False,
    seconds: int = 10,
    snap: int = 128,
    size: int = 100,
    rotate: int = 2,
    out: str = "",
    json: bool = False,
) -> None:
    """Capture bridges, or chosen links, from the kernel's ring, a pcapng file each."""
    from twinstack.observe.capture import targets
    from twinstack.observe.capture.record import capture_groups
    from twinstack.observe.capture.report import text

    worlds_of(world)
    bounds.within("seconds", seconds, 0, bounds.MOST_SECONDS, "it is a time; 0 goes on")
    bounds.within("snap", snap, 0, MAX_SNAP, "it is a number of bytes; 0 keeps all")
    bounds.within("size", size, 1, MAX_MEGABYTES)
    bounds.within("rotate", rotate, 1, MAX_FILES)
    require_root("traffic.capture")
    there = {
        found.name: found.links()
        for found in up_among(world, "traffic.capture", "has nothing to capture")
    }
    every = [each for links in there.values() for each in links]
    selected = targets.select_links(every, link, bridge, everything=everything)
    groups = {
        name: chosen
        for name, links in there.items()
        if (chosen := [each for each in selected if each in links])
    }
    options = targets.CaptureOptions(seconds, snap, size * 1_000_000, rotate)
    folders = _folders(list(groups), out)
    say("same as (all at once, in an existing folder):")
    for name, links in groups.items():
        for target in links:
            say(f"    {targets.dumpcap_command(target, folders[name], options)}")
    results = capture_groups(
        [(links, folders[name]) for name, links in groups.items()], options, progress=say
    )
    failed = any(captured.failed for result in results for captured in result.links)
    for name, result in zip(groups, results, strict=True):
        show(json, replace(result, world=name), text(result), NOT_SO if failed else 0)
    end(NOT_SO if failed else 0)


def _folders(worlds: Sequence[str], out: str) -> dict[str, Path]:
    """Choose the folder of each world's captures; those in `out` are made when they are written."""
    if out:
        several = len(worlds) > 1
        return {name: Path(out) / name if several else Path(out) for name in worlds}
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    return {name: new_folder(f"captures/{name}-{now}") for name in worlds}


@task(
    positional=["file"],
    iterable=["link"],
    help={
        "file": "a capture (pcap or pcapng) or a folder of them; unset: listen to a world",
        "link": "where to listen: an interface, replica/name or a replica; may be repeated; unset:"
        " at every replica",
        "html": "also write the report as a page to this file; of both worlds, each with its name",
        "seconds": "how long to listen",
        **EITHER,
    },
)
def traffic_report(
    _: Context,
    file: str = "",
    html: str = "",
    link: list[str] | None = None,
    world: str = "both",
    seconds: int = 10,
    json: bool = False,
) -> None:
    """Report traffic by service, from captures (FILE, a folder, -- FILE …) or live."""
    from twinstack.model.plan import resolve
    from twinstack.observe.traffic.analysis import analyse
    from twinstack.observe.traffic.peers import PeerDirectory
    from twinstack.observe.traffic.sections import text

    worlds_of(world)
    here = stack.from_environment()
    topology = here.topology()
    plans = [resolve(topology, shape, here.instance) for shape in topology.shapes]
    files = [Path(word) for word in (file, *invocation.after_dashes()) if word]
    require_writable(html)
    if files and link:
        cause, remedy = "a capture is of the links that it was made of", "leave one of them out"
        raise WrongUse("--link", "cannot be given with files", cause, remedy)
    if files:
        reports = [analyse(captures_in(files), PeerDirectory(plans))]
    else:
        bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
        require_root("traffic.report")
        worlds = up_among(world, "traffic.report", "has nothing to listen to")
        reports = _live(worlds, plans, seconds, link or [])
    for report in reports:
        if html:
            from twinstack.observe.traffic.html import page

            path = Path(html)
            if len(reports) > 1:
                path = path.with_stem(f"{path.stem}-{report.world}")
            _write(path, page(report, here.repository / "templates"))
        title = f"{report.world}: " if len(reports) > 1 else ""
        show(json, report, title + text(report, width()), 0)


def _live(
    worlds: Sequence[LocalWorld], plans: Sequence[Plan], seconds: int, link: Sequence[str]
) -> list[TrafficReport]:
    from twinstack.observe.capture import targets
    from twinstack.observe.capture.live_report import live_reports

    links = [world.links() for world in worlds]
    groups = [targets.select_links(of, link) if link else targets.host_ends(of) for of in links]
    reports = live_reports(groups, plans, seconds, say)
    return [
        replace(report, world=world.name) for report, world in zip(reports, worlds, strict=True)
    ]


@task(
    help={
        **EITHER,
        "path": "the path to request",
        "times": "number of requests; the one of median duration is shown",
        "svg": "also draw the journey to this file",
    }
)
def traffic_journey(
    _: Context,
    world: str = "both",
    path: str = "/api/products",
    times: int = 1,
    svg: str = "",
    json: bool = False,
) -> None:
    """Follow one request over every link: its time on each, NAT, and the rules that it matched."""
    from twinstack.observe.journey import report
    from twinstack.observe.journey.send import median_journey
    from twinstack.observe.journey.text import text
    from twinstack.observe.journey.waterfall import waterfall

    worlds_of(world)
    bounds.times(times)
    require_writable(svg)
    require_root("traffic.journey")
    worlds = up_among(world, "traffic.journey", "cannot be followed")
    journeys = [median_journey(observed, path, times, say) for observed in worlds]
    if svg:
        _write(Path(svg), waterfall(journeys))
    answer(json, report.Journeys(tuple(journeys)), text(journeys))


def new_folder(name: str) -> Path:
    """Make a folder that its owner alone may read; numbered where another capture has the name."""
    folder, number = Path(name), 1
    folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:
            number += 1
            folder = Path(f"{name}-{number}")


def captures_in(paths: Sequence[Path]) -> list[Path]:
    """Replace folders by the captures in them. Raises: WrongUse if there are none."""
    captures: list[Path] = []
    for path in paths:
        if not path.exists():
            cause, remedy = "it does not exist", "name a capture, or a folder of them"
            raise WrongUse(str(path), "cannot be read", cause, remedy)
        if not path.is_dir():
            captures.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        if not inside:
            cause = f"no file there ends in {' or '.join(SUFFIXES)}"
            raise WrongUse(str(path), "has no captures", cause, "name the files")
        captures += inside
    return captures


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    say(f"written: {path}")
