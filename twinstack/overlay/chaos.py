"""Break one host of a running overlay for a while, and see who goes on answering.

host-loss: everything on it is killed and it is cut off; partition: it is cut off; mtu: the underlay
swallows its larger packets without a word. All of it is put back at the end; were this killed
meanwhile, `overlay.status` would name what differs and `overlay.up` repair it.
"""

from __future__ import annotations

import http.client
import itertools
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from twinstack.errors import CannotTell, StepFailed, TwinstackError
from twinstack.linux import child as entering
from twinstack.linux import rtnetlink
from twinstack.linux.netlink import Netlink, Request
from twinstack.model import names
from twinstack.model.vxlan import UNDERLAY_MTU
from twinstack.namespaces import cgroups, supervisor
from twinstack.namespaces import world as namespaces
from twinstack.overlay import hosts
from twinstack.overlay.host_plans import host_instance
from twinstack.overlay.world import Overlay
from twinstack.reconcile import Progress
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths

Fault = Literal["host-loss", "partition", "mtu"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
#: What the underlay lets pass of a host with a black hole: a question, but no answer of size.
NARROW_MTU = rtnetlink.LEAST_IPV6_MTU  # with less a link loses all of IPv6, its being off too
_BEFORE_S, _AFTER_S = 2.0, 3.0
_EVERY_S, _PATIENCE_S = 0.05, 1.0
_PATH = "/api/products"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a client on another host. Units: seconds of the monotonic clock."""

    at: float
    took: float
    status: int
    served_by: str

    @property
    def good(self) -> bool:
        return self.status == 200


@dataclass(frozen=True, slots=True)
class Phase:
    """What the client saw in a while. Units: seconds; `longest_gap_s` without a good answer."""

    name: str
    seconds: float
    asked: int
    good: int
    longest_gap_s: float
    served_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """What was broken, where, and what a client on another host saw meanwhile."""

    fault: Fault
    host: str
    client: str
    phases: tuple[Phase, ...]

    @property
    def recovered(self) -> bool:
        """Tell whether everything was answered again at the end."""
        last = self.phases[-1]
        return last.asked > 0 and last.good == last.asked


def cause(
    overlay: Overlay,
    fault: Fault,
    host: str,
    *,
    seconds: float,
    move: bool,
    timeout_s: float,
    progress: Progress,
    elsewhere: Callable[[frozenset[str]], Overlay],
) -> Story:
    """Break a host, watch from another one, put it back. `move`: what was on it goes to others.

    `elsewhere` gives the overlay without some hosts. Units: seconds, of the fault.
    Raises: Missing when the overlay is not up; TwinstackError for a host that cannot be broken.
    """
    namespaces.require_root("chaos")
    overlay.spread.host(host)
    if overlay.bare:
        raise CannotTell(
            "chaos", "would show nothing", "the networks alone are up", 'run "invoke overlay.up"'
        )
    instance = overlay.plan.instance
    others = [one.name for one in overlay.spread.alive if one.name != host]
    front = overlay.spread.where["nginx-lb"]
    client = front if front in others else (others[0] if others else "")
    if not client:
        raise TwinstackError(
            host,
            "cannot be broken",
            "there is no other host to look from",
            "bring up two or more (invoke overlay.up --hosts 3)",
        )
    for name in (host, client):
        hosts.pins_of(instance, name)  # it is up, or this says so
    target = str(overlay.plan.replica("nginx-lb").address)
    marks: list[tuple[str, float]] = []

    def mark(name: str) -> None:
        progress(f"{name}: {fault} of {host}")
        marks.append((name, time.monotonic()))

    with _client(overlay, client, target) as answers:
        mark("before")
        time.sleep(_BEFORE_S)
        try:
            mark("during")
            _break(overlay, fault, host)
            if move:
                elsewhere(frozenset({host})).up(timeout_s=timeout_s, progress=progress)
                mark("moved")
            time.sleep(seconds)
        finally:
            mark("restoring")
            _restore(overlay, fault, host)
            if fault == "host-loss" or move:
                overlay.up(timeout_s=timeout_s, progress=progress)
        time.sleep(_AFTER_S)  # what was in flight, and names that leases still hold
        mark("after")
        time.sleep(_AFTER_S)
        ended = time.monotonic()
        asked = answers()
    return Story(fault, host, client, tuple(phases(asked, marks, ended)))


def phases(
    asked: Sequence[Asked], marks: Sequence[tuple[str, float]], ended: float
) -> Iterator[Phase]:
    """Divide what a client saw at the marks; pure."""
    ends = [at for _, at in marks[1:]] + [ended]
    for (name, start), end in zip(marks, ends, strict=True):
        mine = [one for one in asked if start <= one.at < end]
        good = [one for one in mine if one.good]
        moments = [start, *(min(one.at + one.took, end) for one in good), end]
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        yield Phase(
            name,
            end - start,
            len(mine),
            len(good),
            max(gaps),
            tuple(sorted({one.served_by for one in good})),
        )


@contextmanager
def _client(overlay: Overlay, host: str, target: str) -> Iterator[Callable[[], list[Asked]]]:
    """Keep a client asking on a host while the block lasts; gives what ends it and tells."""
    pins = hosts.pins_of(overlay.plan.instance, host)
    reading, writing = os.pipe()
    work = partial(_ask, target, reading, writing)
    child = entering.start(f"client on {host}", pins.network, work)
    os.close(reading)

    def answers() -> list[Asked]:
        os.write(writing, b".")
        found: list[Asked] = child.answer()
        if not found:
            raise CannotTell("client", "saw nothing", "it never got to ask")
        return found

    try:
        yield answers
    finally:
        os.close(writing)
        child.end()


def _ask(target: str, until: int, other_end: int) -> list[Asked]:
    os.close(other_end)
    found = []
    while not select.select([until], [], [], _EVERY_S)[0]:
        start = time.monotonic()
        status, served_by = 0, ""
        connection = http.client.HTTPConnection(target, timeout=_PATIENCE_S)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", _PATH)
            answer = connection.getresponse()
            answer.read()
            status, served_by = answer.status, answer.getheader("X-Served-By") or ""
        connection.close()
        found.append(Asked(start, time.monotonic() - start, status, served_by))
    return found


def _break(overlay: Overlay, fault: Fault, host: str) -> None:
    with locked(InstancePaths(overlay.underlay.plan.instance), "overlay"):
        if fault == "mtu":
            _port(host, [rtnetlink.set_mtu(names.host_link(host), NARROW_MTU)])
            return
        _port(host, [rtnetlink.set_down(names.host_link(host))])
        if fault == "host-loss":
            _kill(overlay.plan.instance, host)


def _restore(overlay: Overlay, fault: Fault, host: str) -> None:
    mtu = UNDERLAY_MTU if fault == "mtu" else None
    _port(host, rtnetlink.set_up(names.host_link(host), mtu=mtu))


def _port(host: str, requests: Sequence[Request]) -> None:
    """Change a host's port of the underlay: up, down, or what it takes."""
    try:
        with Netlink() as netlink:
            netlink.send(requests)
    except OSError as error:
        name = names.host_link(host)
        raise StepFailed(f"link {name}", "cannot be set", error.strerror or str(error)) from error


def _kill(instance: str, host: str) -> None:
    """Kill all that runs on a host at once, as a power cut would; only what is in our cgroups."""
    own = host_instance(instance, host)

    def kill() -> None:
        supervising = supervisor.pid(InstancePaths(own))
        if supervising is not None:
            os.kill(supervising, 9)
        layout = cgroups.read_layout()
        for group in cgroups.existing(own, layout):
            cgroups.end_processes(own, group, layout)

    hosts.on(instance, host, kill)


def text(story: Story) -> str:
    """Write the story as a table."""
    lines = [f"{story.fault} of {story.host}, seen from {story.client}: GET {_PATH}", ""]
    rows = [("", "seconds", "asked", "good", "longest gap", "served by")]
    rows += [
        (
            one.name,
            f"{one.seconds:.1f}",
            str(one.asked),
            str(one.good),
            f"{one.longest_gap_s:.2f} s",
            " ".join(one.served_by) or "nobody",
        )
        for one in story.phases
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    said = "all is answered again" if story.recovered else "not all is answered again"
    return "\n".join([*lines, "", said])
