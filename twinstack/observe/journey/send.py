"""Send one request through a world and capture it on every link: the journey's effects."""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from twinstack.errors import CannotTell, Missing, StepFailed, WrongUse
from twinstack.linux import child
from twinstack.linux.packet_ring import CapturePoint, Ring, captured, opened
from twinstack.linux.process import run
from twinstack.model.plan import Plan
from twinstack.observe.capture.targets import capture_point, short_label
from twinstack.observe.journey import rule_counters
from twinstack.observe.journey.exchanges import Exchange, NameOf, all_ends, find_exchanges, rewrites
from twinstack.observe.journey.report import Journey, RuleCount, SentRequest
from twinstack.observe.journey.segments import Sighting, decode
from twinstack.observe.journey.steps import steps
from twinstack.printable import counted
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

EDGE = "nginx-lb"
HOST = "host"
PROXY = "docker-proxy"
_TIMEOUT_S = 10.0
_RETIRE_MS = 20
#: What follows the response belongs to it too: acknowledgements, the connection's end.
_AFTER_S = 0.02
_PATH = re.compile(r"/[!-~]*")
_MAX_RESPONSE_BYTES = 64 << 20


def median_journey(world: LocalWorld, path: str, times: int, progress: Progress) -> Journey:
    """Follow several requests, and give the journey of median time. Raises: as `follow_request`.

    One request may be an outlier, and the mean of several is nobody's journey.
    """
    _check(path)
    world.links()  # before a word: the world may not be up
    progress(f"{world.name}: asking for {path}")  # an edge that hangs takes a while
    journeys = []
    for number in range(1, times + 1):
        journey = follow_request(world, path)
        journeys.append(journey)
        if times > 1:  # opening and closing so many rings takes a second
            progress(f"{world.name}: request {number} of {times}: {journey.total_us:,.0f} µs")
    return sorted(journeys, key=lambda journey: journey.total_us)[(times - 1) // 2]


def follow_request(world: LocalWorld, path: str) -> Journey:
    """Ask the edge for a path by its published port, and follow that request.

    An earlier request opens whatever is opened once. Raises: Missing when the world is not up;
    StepFailed without a response; CannotTell when the request was not seen.
    """
    _check(path)
    links = world.links()
    namespace = next(link.namespace for link in links if link.kind != "inside")
    host = Path(namespace) if namespace else None
    edge = world.published(EDGE)
    if edge is None:
        raise Missing(EDGE, "has no published port", "none is declared", "declare one")
    places = [replace(capture_point(link), label=short_label(link)) for link in links]
    places.append(CapturePoint("lo", "lo", namespace))
    _send_from(host, edge, path, "journey-before")
    request_id = f"journey-{secrets.token_hex(8)}"
    rules_before = _rules(host)
    with opened(places, retire_ms=_RETIRE_MS) as rings:
        request = _send_from(host, edge, path, request_id)
        time.sleep(_AFTER_S)
        for ring in rings:
            ring.stop()
        time.sleep(2 * _RETIRE_MS / 1000)
        sightings = [sighting for ring in rings for sighting in _sightings(ring)]
        dropped = sum(ring.dropped for ring in rings)
    rules = rule_counters.counted(rules_before, _rules(host))
    exchanges = find_exchanges(sightings, request_id, _name_of(world.plan))
    return build_journey(world, path, edge, request, exchanges, rules, dropped)


def _check(path: str) -> None:
    if not _PATH.fullmatch(path):
        raise WrongUse(
            "--path", f"cannot be {path!r}", "a path begins with / and has no blanks", "choose one"
        )


def build_journey(
    world: LocalWorld,
    path: str,
    edge: Endpoint,
    request: SentRequest,
    exchanges: Sequence[Exchange],
    rules: Sequence[RuleCount],
    dropped: int,
) -> Journey:
    """Put a journey together; `rules` are all that counted meanwhile. Raises: CannotTell."""
    plan = world.plan
    exchanges = _name_proxy(exchanges)
    services = {replica.name: replica.service for replica in plan.replicas}
    own = {segment for exchange in exchanges for segment in exchange.connection}
    links = {sighting.place for segment in own for sighting in segment.sightings}
    ends = all_ends(exchanges, request)
    note = f"the kernel dropped {counted(dropped, 'packet')}: some hops may be missing"
    return Journey(
        world=world.name,
        shape=plan.shape,
        path=path,
        url=edge.url(path),
        status=request.status,
        body_bytes=request.body_bytes,
        total_us=(request.done_ns - request.began_ns) / 1000,
        links=len(links),
        packets=len(own),
        sights=sum(len(segment.sightings) for segment in own),
        steps=steps(exchanges, request, lambda replica: services.get(replica, replica)),
        rewrites=rewrites(exchanges, request),
        rules=rule_counters.relevant(rules, ends, links),
        notes=(note,) if dropped else (),
    )


def _name_of(plan: Plan) -> NameOf:
    """Name addresses by their replica, in either world; all others are the host's."""
    names = {str(replica.address): replica.name for replica in plan.replicas}
    for replica in plan.replicas:
        names |= {str(attachment.address): replica.name for attachment in replica.attachments}
    return lambda address: names.get(address, HOST)


def _name_proxy(exchanges: Sequence[Exchange]) -> Sequence[Exchange]:
    """Name the engine's proxy, where a process of the host publishes the port and not NAT."""
    if not any(exchange.client == exchange.server == HOST for exchange in exchanges):
        return exchanges
    return [
        replace(exchange, server=PROXY)
        if exchange.client == exchange.server == HOST
        else replace(exchange, client=PROXY)
        if exchange.client == HOST
        else exchange
        for exchange in exchanges
    ]


def _sightings(ring: Ring) -> list[Sighting]:
    decoded = (decode(ring.label, *packet) for packet in captured(ring))
    ring.count()
    return [sighting for sighting in decoded if sighting is not None]


def _rules(host: Path | None) -> str:
    return run(["nsenter", f"--net={host or child.OWN}", "iptables-save", "-c"]).stdout


def _send_from(host: Path | None, edge: Endpoint, path: str, request_id: str) -> SentRequest:
    """Send from the host that holds the bridges. Raises: as `send_request`."""
    return child.inside(EDGE, host, partial(send_request, edge, path, request_id))


def send_request(edge: Endpoint, path: str, request_id: str) -> SentRequest:
    """Send one request on a connection of its own, and read the response to its end.

    Raises: StepFailed when there is none; CannotTell for one that is not HTTP.
    """
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {edge.address}:{edge.port}\r\n"
        f"X-Request-ID: {request_id}\r\nConnection: close\r\n\r\n"
    ).encode()
    response = bytearray()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(_TIMEOUT_S)
        try:
            began = time.time_ns()
            client.connect((edge.address, edge.port))
            connected = time.time_ns()
            client.sendall(request)
            done = time.time_ns()
            ends = (*client.getsockname(), *client.getpeername())
            while len(response) < _MAX_RESPONSE_BYTES and (piece := client.recv(1 << 18)):
                done = time.time_ns()
                response += piece
        except OSError as error:
            cause = error.strerror or str(error)
            remedy = 'run "invoke health"'
            raise StepFailed(edge.url(path), "does not answer", cause, remedy) from error
    head, _, body = bytes(response).partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    if match is None:
        raise CannotTell(edge.url(path), "did not answer in HTTP", repr(head[:40]))
    return SentRequest(ends, began, connected, done, int(match[1]), len(body))
