"""Break one host of a running overlay for a while, and see how requests fare meanwhile.

host-loss: everything on it is killed and it is cut off; partition: it is cut off; mtu: the underlay
silently drops its larger packets. Everything is restored at the end; after a kill in between,
`overlay.status` names what differs and `overlay.up` repairs it.
"""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from twinstack.errors import CannotTell, WrongUse
from twinstack.linux import child as children
from twinstack.linux.process import run
from twinstack.linux.rtnetlink import IPV6_MIN_MTU
from twinstack.model import names
from twinstack.model.vxlan import UNDERLAY_MTU
from twinstack.namespaces import cgroups, supervisor
from twinstack.overlay import hosts
from twinstack.overlay.host_plans import host_instance
from twinstack.overlay.world import Overlay
from twinstack.reconcile import Progress
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths
from twinstack.world import require_root

Fault = Literal["host-loss", "partition", "mtu"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
#: What a black hole lets pass: a request, but no response of size. Less would turn IPv6 off.
NARROW_MTU = IPV6_MIN_MTU
PATH = "/api/products"
_BEFORE_S, _AFTER_S = 2.0, 3.0
_EVERY_S, _TIMEOUT_S = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of a client on another host. Units: seconds of the monotonic clock."""

    at: float
    took: float
    status: int  # HTTP's, 0 without a response
    served_by: str

    @property
    def good(self) -> bool:
        return self.status == 200


@dataclass(frozen=True, slots=True)
class FaultPhase:
    """What the client saw in a part of the time. Units: seconds."""

    name: str
    seconds: float
    asked: int
    good: int
    longest_gap_s: float  # without a good response
    served_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FaultReport:
    """What was broken, where, and what a client on another host saw."""

    fault: Fault
    host: str
    client: str
    phases: tuple[FaultPhase, ...]

    @property
    def recovered(self) -> bool:
        """Say whether every request at the end got a good response."""
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
) -> FaultReport:
    """Break a host, watch from another one, restore it. `move`: its replicas go to other hosts.

    `elsewhere` gives the overlay without some hosts. Units: seconds, of the fault.
    Raises: Missing when the overlay is not up; WrongUse for a host that cannot be broken.
    """
    require_root("chaos")
    client = _client_host(overlay, host)
    marks: list[tuple[str, float]] = []

    def mark(name: str) -> None:
        progress(f"{name}: {fault} of {host}")
        marks.append((name, time.monotonic()))

    with _requests_from(overlay, client) as finish:
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
            _set_port(host, f"mtu {UNDERLAY_MTU} up")
            if fault == "host-loss" or move:
                overlay.up(timeout_s=timeout_s, progress=progress)
        time.sleep(_AFTER_S)  # for requests in flight, and for leases that still hold names
        mark("after")
        time.sleep(_AFTER_S)
        ended = time.monotonic()
        attempts = finish()
    return FaultReport(fault, host, client, tuple(phases(attempts, marks, ended)))


def _client_host(overlay: Overlay, host: str) -> str:
    """Choose the host to watch from: nginx-lb's, if that is another one. Raises: as `cause`."""
    overlay.spread.host(host)
    if overlay.bare:
        remedy = 'run "invoke overlay.up"'
        raise CannotTell("chaos", "would show nothing", "the networks alone are up", remedy)
    others = [other.name for other in overlay.spread.alive if other.name != host]
    if not others:
        reason = "there is no other host to watch from"
        remedy = "bring up two or more (invoke overlay.up --hosts 3)"
        raise WrongUse(host, "cannot be broken", reason, remedy)
    edge = overlay.spread.where["nginx-lb"]
    client = edge if edge in others else others[0]
    for name in (host, client):
        hosts.pins_of(overlay.plan.instance, name)  # raises Missing unless it is up
    return client


def phases(
    attempts: Sequence[Attempt], marks: Sequence[tuple[str, float]], ended: float
) -> Iterator[FaultPhase]:
    """Divide what a client saw at the marks; pure."""
    ends = [at for _, at in marks[1:]] + [ended]
    for (name, start), end in zip(marks, ends, strict=True):
        within = [attempt for attempt in attempts if start <= attempt.at < end]
        good = [attempt for attempt in within if attempt.good]
        moments = [start, *(min(attempt.at + attempt.took, end) for attempt in good), end]
        longest_gap_s = max(later - earlier for earlier, later in itertools.pairwise(moments))
        served_by = tuple(sorted({attempt.served_by for attempt in good}))
        yield FaultPhase(name, end - start, len(within), len(good), longest_gap_s, served_by)


@contextmanager
def _requests_from(overlay: Overlay, host: str) -> Iterator[Callable[[], list[Attempt]]]:
    """Send requests from a host while the block lasts; gives what ends them and gives them."""
    pins = hosts.pins_of(overlay.plan.instance, host)
    target = str(overlay.plan.replica("nginx-lb").address)
    with TemporaryDirectory() as directory:
        stop = Path(directory, "stop")
        work = partial(_send_requests, target, stop)
        child = children.start(f"client on {host}", pins.network, work)

        def finish() -> list[Attempt]:
            stop.touch()
            attempts: list[Attempt] = child.answer()
            if not attempts:
                raise CannotTell("client", "saw nothing", "it sent no request")
            return attempts

        try:
            yield finish
        finally:
            child.end()


def _send_requests(target: str, stop: Path) -> list[Attempt]:
    attempts = []
    while not stop.exists():
        start = time.monotonic()
        status, served_by = 0, ""
        connection = http.client.HTTPConnection(target, timeout=_TIMEOUT_S)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", PATH)
            response = connection.getresponse()
            response.read()
            status, served_by = response.status, response.getheader("X-Served-By") or ""
        connection.close()
        attempts.append(Attempt(start, time.monotonic() - start, status, served_by))
        time.sleep(_EVERY_S)
    return attempts


def _break(overlay: Overlay, fault: Fault, host: str) -> None:
    with locked(InstancePaths(overlay.underlay.plan.instance), "overlay"):
        if fault == "mtu":
            _set_port(host, f"mtu {NARROW_MTU}")
            return
        _set_port(host, "down")
        if fault == "host-loss":
            _kill(overlay.plan.instance, host)


def _set_port(host: str, change: str) -> None:
    """Change a host's port of the underlay."""
    run(f"ip link set dev {names.host_link(host)} {change}".split())


def _kill(instance: str, host: str) -> None:
    """Kill everything in our cgroups on a host at once, as a power cut would."""
    own = host_instance(instance, host)

    def kill() -> None:
        supervising = supervisor.pid(InstancePaths(own))
        if supervising is not None:
            os.kill(supervising, signal.SIGKILL)
        layout = cgroups.read_layout()
        for group in cgroups.existing(own, layout):
            cgroups.end_processes(own, group, layout)

    hosts.on(instance, host, kill)
