"""One request's journey through links, made by hand: client → nginx-lb → api-gateway → redis."""

from __future__ import annotations

from dataclasses import replace

from tests.support import craft
from twinstack.observe.journey.exchanges import find_exchanges, rewrites
from twinstack.observe.journey.report import Journey, JourneyStep, RuleCount, SentRequest
from twinstack.observe.journey.segments import Ends, Sighting, decode
from twinstack.observe.journey.steps import steps

REQUEST_ID = "journey-0123456789abcdef"
REQUEST = f"GET /x HTTP/1.1\r\nX-Request-ID: {REQUEST_ID}\r\n\r\n".encode()
RESPONSE = f"HTTP/1.1 200 OK\r\nX-Request-ID: {REQUEST_ID}\r\n\r\nok".encode()
CLIENT = ("127.0.0.1", 40000, "127.0.0.1", 8080)
EDGE = (craft.HOST, 40000, craft.NGINX, 80)
GATEWAY = (craft.NGINX, 50000, craft.GATEWAY, 3000)
STORE = (craft.GATEWAY, 50001, craft.REDIS, 6379)
OTHER = (craft.GATEWAY, 50002, craft.REDIS, 6379)
T0 = craft.START_NS
SENT = SentRequest(CLIENT, T0, T0 + 20_000, T0 + 120_000, 200, 2)
NAMES = {craft.NGINX: "nginx-lb", craft.GATEWAY: "api-gateway", craft.REDIS: "redis-cache"}


def name_of(address: str) -> str:
    return NAMES.get(address, "host")


def back(ends: Ends) -> Ends:
    return (*ends[2:], *ends[:2])


class Wire:
    """Makes sightings: each segment at several links, a microsecond apart."""

    def __init__(self) -> None:
        self.sightings: list[Sighting] = []
        self.ident = 0

    def send(
        self,
        at_us: float,
        ends: Ends,
        payload: bytes,
        *places: str,
        flags: int = craft.ACK,
        rewritten: Ends | None = None,
    ) -> None:
        """Send a segment; the last link sees it with the ends that NAT has rewritten."""
        self.ident += 1
        segment = craft.tcp(ends[1], ends[3], flags, seq=self.ident * 100, payload=payload)
        frame = craft.ethernet(craft.ipv4(ends[0], ends[2], 6, segment, ident=self.ident))
        for number, place in enumerate(places):
            time_ns = T0 + round(at_us * 1000) + number * 1000
            sighting = decode(place, time_ns, frame, len(frame))
            assert sighting is not None
            if rewritten and number == len(places) - 1:
                sighting = replace(sighting, ends=rewritten)
            self.sightings.append(sighting)


def whole() -> Wire:
    wire = Wire()
    wire.send(10, EDGE, b"", "br", "eth-n", flags=craft.SYN)
    wire.send(15, back(EDGE), b"", "eth-n", "br", flags=craft.SYN | craft.ACK)
    wire.send(30, EDGE, REQUEST, "br", "eth-n")
    wire.send(50, GATEWAY, REQUEST, "eth-n", "eth-g")
    wire.send(55, OTHER, b"GET a", "eth-g", "eth-r")  # asked by the gateway, meanwhile
    wire.send(58, back(OTHER), b"b", "eth-r", "eth-g")
    wire.send(70, STORE, b"GET c", "eth-g", "eth-r")
    wire.send(80, back(STORE), b"d", "eth-r", "eth-g")
    wire.send(90, back(GATEWAY), RESPONSE, "eth-g", "eth-n")
    wire.send(92, back(GATEWAY), b"more", "eth-g", "eth-n")
    wire.send(100, back(EDGE), RESPONSE, "eth-n", "br", rewritten=back(CLIENT))
    wire.send(900, STORE, b"GET e", "eth-g", "eth-r")  # long after: another request's
    wire.send(910, back(STORE), b"f", "eth-r", "eth-g")
    return wire


def steps_of(wire: Wire, request: SentRequest = SENT) -> tuple[JourneyStep, ...]:
    exchanges = find_exchanges(wire.sightings, REQUEST_ID, name_of)
    return steps(exchanges, request, lambda replica: replica)


def journey(world: str = "net") -> Journey:
    rule = '-p tcp -m comment --comment "twinstack:main the published port" -j DNAT'
    return Journey(
        world="net" if world == "net" else "docker",
        shape="flat",
        path="/x",
        url="http://127.0.0.1:8080/x",
        status=200,
        body_bytes=2,
        total_us=120.0,
        links=4,
        packets=11,
        sights=22,
        steps=steps_of(whole()),
        rewrites=rewrites(find_exchanges(whole().sightings, REQUEST_ID, name_of), SENT),
        rules=(RuleCount("nat", "OUTPUT", rule, 1, 60),),
        notes=(),
    )
