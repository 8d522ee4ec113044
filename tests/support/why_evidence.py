"""Evidence of a sound attempt from order-service to postgres-db, to be altered by a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.core_cases import declared
from twinstack.linux.links import ChosenRoute, LinkFacts
from twinstack.linux.sock_diag import TcpSocket
from twinstack.model.plan import resolve
from twinstack.observe.why.evidence import (
    AttemptResult,
    Evidence,
    NamespaceState,
    ProcessFacts,
    SeenPacket,
)
from twinstack.observe.why.explanation import Explanation, explain
from twinstack.observe.why.headers import Headers
from twinstack.observe.why.question import parse

PLAN = resolve(declared(), "flat")
NUMBER = 40_000
SOURCE, DESTINATION = "order-service", "postgres-db"
PLACES = ("order-service/eth0", "ve-order", "br-app", "ve-postgres-db", "postgres-db/eth0")
REQUEST = Headers("tcp", "10.0.0.40", NUMBER, "10.0.0.60", 5432)
ANSWER = Headers("tcp", "10.0.0.60", 5432, "10.0.0.40", NUMBER)
PROCESS = ProcessFacts(4711, "S", False, 20, 1024, 7, 100, 0, 0.0)

#: What a client sees: nothing at all; a connection and no answer; a reset.
SILENT = {"outcome": "silent", "took_s": 0.7, "said": ""}
MUTE = {"outcome": "connected", "took_s": 0.9, "said": ""}
REFUSED = {"outcome": "refused", "error": "ECONNREFUSED", "said": ""}


def link(name: str, index: int, **more: Any) -> LinkFacts:
    given = {"kind": "veth", "alias": None, "mtu": 1500, "up": True, "master": None}
    return LinkFacts(name=name, index=index, **(given | more))


def listener(address: str, port: int, **more: int) -> TcpSocket:
    local = bytes(map(int, address.split(".")))
    queues = {"recv_q": 0, "send_q": 128} | more
    return TcpSocket("LISTEN", local, port, bytes(4), 0, **queues)


def namespace(*links: LinkFacts, **more: Any) -> NamespaceState:
    given: dict[str, Any] = {
        "links": {each.name: each for each in links},
        "route": ChosenRoute("eth0", None, None),
        "no_route": "",
        "neighbours": (),
        "sysctls": {},
        "listeners": (),
        "conntrack": None,
    }
    return NamespaceState(**(given | more))


def sound(**attempt: Any) -> Evidence:
    """Give what is seen when all is well, but for what the client saw."""
    given: dict[str, Any] = {"outcome": "answered", "took_s": 0.002, "said": "S"}
    bridge = link("br-app", 9, kind="bridge", addresses=frozenset({"10.0.0.1/24"}))
    ends = (link("ve-order", 4, master="br-app"), link("ve-postgres-db", 6, master="br-app"))
    own = link("eth0", 2, addresses=frozenset({"10.0.0.40/24"}))
    theirs = link("eth0", 2, addresses=frozenset({"10.0.0.60/24"}), mac="02:00:00:00:00:60")
    route = ChosenRoute("br-app", None, None)
    return Evidence(
        plan=PLAN,
        question=parse(PLAN, "net", SOURCE, DESTINATION, "tcp"),
        attempt=AttemptResult(NUMBER, "10.0.0.60", **(given | attempt)),
        places=PLACES,
        sightings=tuple(SeenPacket(place, head) for head in (REQUEST, ANSWER) for place in PLACES),
        drops=(),
        rules=(),
        namespaces={
            SOURCE: namespace(own),
            "host": namespace(bridge, *ends, route=route),
            DESTINATION: namespace(theirs, listeners=(listener("0.0.0.0", 5432),)),
        },
        process=PROCESS,
        hosts_entry="10.0.0.60",
        named=True,
    )


def with_destination(evidence: Evidence, **more: Any) -> Evidence:
    """Alter what was read in the destination's namespace."""
    altered = replace(evidence.namespaces[DESTINATION], **more)
    return replace(evidence, namespaces={**evidence.namespaces, DESTINATION: altered})


def seen_until(evidence: Evidence, place: str) -> Evidence:
    """Let the request be seen up to a place only, and no answer."""
    until = PLACES[: PLACES.index(place) + 1]
    kept = tuple(SeenPacket(each, REQUEST) for each in until)
    return replace(evidence, sightings=kept)


def found(evidence: Evidence) -> Explanation:
    """Explain an attempt that does not pass."""
    explained = explain(evidence)
    assert not explained.passes
    assert explained.cause
    assert explained.sentence
    return explained
