"""Send one request through a world and capture it on every link at once: the journey's effects."""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from twinstack.errors import CannotTell, Missing, StepFailed, TwinstackError
from twinstack.linux import child
from twinstack.linux.packet_ring import HEADER, Place, Ring, opened
from twinstack.linux.process import run
from twinstack.model.plan import Plan
from twinstack.observe.capture import targets
from twinstack.observe.journey import exchanges as legs_of
from twinstack.observe.journey import report, rule_counters
from twinstack.observe.journey.exchanges import Leg
from twinstack.observe.journey.report import Asked, Journey
from twinstack.observe.journey.segments import Sight, decode
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

DOOR = "nginx-lb"
HOST = "host"
PROXY = "docker-proxy"
_TIMEOUT_S = 10.0
_RETIRE_MS = 20
#: What follows an answer belongs to it too: acknowledgements, the connection's end.
_AFTER_S = 0.02
_PATH = re.compile(r"/[!-~]*")
_LARGEST = 64 << 20


def travel(world: LocalWorld, path: str) -> Journey:
    """Ask the edge for a path by the host's port, and tell the way of that request.

    A request before it opens what is opened once. Raises: Missing when the world is not up;
    StepFailed when nobody answers; CannotTell when the request was not seen.
    """
    _check(path)
    links = targets.there(world.name, world.links())
    namespace = next(one.namespace for one in links if one.kind != "inside")
    where = Path(namespace) if namespace else None
    door = world.published(DOOR)
    if door is None:
        raise Missing(DOOR, "has no port of the host", "none is declared", "declare one")
    places = [replace(targets.place(one), label=targets.short(one)) for one in links]
    places.append(Place("lo", "lo", namespace))
    _asked(where, door, path, "journey-before")
    mark = f"journey-{secrets.token_hex(8)}"
    before = _rules(where)
    with opened(places, retire_ms=_RETIRE_MS) as rings:
        asked = _asked(where, door, path, mark)
        time.sleep(_AFTER_S)
        for ring in rings:
            ring.stop()
        time.sleep(2 * _RETIRE_MS / 1000)
        sights = [one for ring in rings for one in _seen(ring)]
        dropped = sum(ring.dropped for ring in rings)
    return told(world, path, door, mark, asked, sights, (before, _rules(where)), dropped)


def _check(path: str) -> None:
    if not _PATH.fullmatch(path):
        raise TwinstackError(
            "--path", f"cannot be {path!r}", "a path begins with / and has no blanks", "choose one"
        )


def middling(world: LocalWorld, path: str, times: int, progress: Progress) -> Journey:
    """Travel so many times, and give the journey whose time is in the middle. Raises: as `travel`.

    One request may have met a stroke of bad luck; the mean of several is nobody's way.
    """
    found = []
    _check(path)
    progress(f"{world.name}: asking for {path}")  # a door that hangs is waited for
    for number in range(1, times + 1):
        found.append(travel(world, path))
        if times > 1:  # opening and closing so many rings takes a second
            progress(f"{world.name}: request {number} of {times}: {found[-1].total_us:,.0f} µs")
    return sorted(found, key=lambda one: one.total_us)[(times - 1) // 2]


def told(
    world: LocalWorld,
    path: str,
    door: Endpoint,
    mark: str,
    asked: Asked,
    sights: Sequence[Sight],
    rules: tuple[str, str],
    dropped: int,
) -> Journey:
    """Make a journey of what was seen; `rules` before and after it. Raises: CannotTell."""
    plan = world.plan
    who = owners(plan)
    legs = _by_proxy(legs_of.joined(sights, mark, lambda address: who.get(address, HOST)))
    services = {one.name: one.service for one in plan.replicas}
    steps = report.steps(legs, asked, lambda name: services.get(name, name))
    own = {packet for leg in legs for packet in leg.connection.packets}
    crossed = {one.place for packet in own for one in packet.sights}
    ends = report.all_ends(legs, asked)
    counted = rule_counters.concerning(rule_counters.more(*rules), ends, crossed)
    notes = [f"the kernel dropped {dropped} packets: some hops may be missing"] if dropped else []
    return Journey(
        world=world.name,
        shape=plan.shape,
        path=path,
        url=door.url(path),
        status=asked.status,
        body_bytes=asked.body_bytes,
        total_us=(asked.done_ns - asked.began_ns) / 1000,
        links=len(crossed),
        packets=len(own),
        sights=sum(len(packet.sights) for packet in own),
        steps=steps,
        rewrites=report.rewrites(legs, asked),
        rules=counted,
        notes=tuple(notes),
    )


def owners(plan: Plan) -> dict[str, str]:
    """Map every address of either world to its replica."""
    found = {str(one.address): one.name for one in plan.replicas}
    return found | {
        str(place.address): one.name for one in plan.replicas for place in one.attachments
    }


def _by_proxy(legs: list[Leg]) -> list[Leg]:
    """Name the engine's proxy, where the door leads to a process of the host and not to NAT."""
    if not any(one.client == one.server == HOST for one in legs):
        return legs
    return [
        replace(one, server=PROXY)
        if one.client == one.server == HOST
        else replace(one, client=PROXY)
        if one.client == HOST
        else one
        for one in legs
    ]


def _seen(ring: Ring) -> list[Sight]:
    found: list[Sight] = []

    def take(memory: memoryview, count: int, at: int) -> None:
        for _ in range(count):
            following, seconds, ns, kept, length, _, frame = HEADER.unpack_from(memory, at)
            data = bytes(memory[at + frame : at + frame + kept])
            one = decode(ring.label, seconds * 1_000_000_000 + ns, data, length)
            if one is not None:
                found.append(one)
            at += following

    ring.read(take)
    ring.count()
    return found


def _rules(where: Path | None) -> str:
    place = where or child.OWN
    return run(["nsenter", f"--net={place}", "iptables-save", "-c"]).stdout


def _asked(where: Path | None, door: Endpoint, path: str, mark: str) -> Asked:
    """Ask from the host that holds the bridges. Raises: StepFailed."""
    return child.inside(DOOR, where, partial(ask, door, path, mark))


def ask(door: Endpoint, path: str, mark: str) -> Asked:
    """Send one request on a connection of its own, and read its answer to the end.

    Raises: StepFailed when there is none; CannotTell for one that is no HTTP.
    """
    words = (
        f"GET {path} HTTP/1.1\r\nHost: {door.address}:{door.port}\r\n"
        f"X-Request-ID: {mark}\r\nConnection: close\r\n\r\n"
    ).encode()
    answer = bytearray()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(_TIMEOUT_S)
        try:
            began = time.time_ns()
            client.connect((door.address, door.port))
            connected = time.time_ns()
            client.sendall(words)
            sent = done = time.time_ns()
            ends = (*client.getsockname(), *client.getpeername())
            while len(answer) < _LARGEST and (piece := client.recv(1 << 18)):
                done = time.time_ns()
                answer += piece
        except OSError as error:
            raise StepFailed(
                door.url(path),
                "does not answer",
                error.strerror or str(error),
                'run "invoke health"',
            ) from error
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    if match is None:
        raise CannotTell(door.url(path), "was not answered in HTTP", repr(head[:40]))
    return Asked(ends, began, connected, sent, done, int(match[1]), len(body))
