"""A request's way, from packets made by hand: joined through NAT, divided without a gap."""

from __future__ import annotations

import socket
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support import craft
from twinstack.errors import CannotTell, StepFailed
from twinstack.observe.journey import report, rule_counters, segments
from twinstack.observe.journey import send as travel
from twinstack.observe.journey import text as waterfall
from twinstack.observe.journey.exchanges import joined
from twinstack.observe.journey.report import Asked, Counted, Journey
from twinstack.observe.journey.segments import Sight
from twinstack.observe.journey.waterfall import waterfall as draw
from twinstack.world import Endpoint, LocalWorld

MARK = "journey-0123456789abcdef"
WHO = {craft.NGINX: "nginx-lb", craft.GATEWAY: "api-gateway", craft.REDIS: "redis-cache"}
CLIENT = ("127.0.0.1", 40000, "127.0.0.1", 8080)
OUTER = (craft.HOST, 40000, craft.NGINX, 80)
T0 = craft.START_NS


def named(address: str) -> str:
    return WHO.get(address, "host")


class Wire:
    """Makes sights: each packet at several places, a microsecond apart."""

    def __init__(self) -> None:
        self.sights: list[Sight] = []
        self.ident = 0

    def send(
        self,
        at_us: float,
        ends: segments.Ends,
        payload: bytes,
        *places: str,
        flags: int = craft.ACK,
        rewritten: segments.Ends | None = None,
    ) -> None:
        self.ident += 1
        for number, place in enumerate(places):
            frame = craft.ethernet(
                craft.ipv4(
                    ends[0],
                    ends[2],
                    6,
                    craft.tcp(ends[1], ends[3], flags, seq=self.ident * 100, payload=payload),
                    ident=self.ident,
                )
            )
            time_ns = T0 + round(at_us * 1000) + number * 1000
            one = segments.decode(place, time_ns, frame, len(frame))
            assert one is not None
            if rewritten and number == len(places) - 1:
                one = replace(one, ends=rewritten)
            self.sights.append(one)


def back(ends: segments.Ends) -> segments.Ends:
    return (*ends[2:], *ends[:2])


REQUEST = f"GET /x HTTP/1.1\r\nX-Request-ID: {MARK}\r\n\r\n".encode()
ANSWER = f"HTTP/1.1 200 OK\r\nX-Request-ID: {MARK}\r\n\r\nok".encode()
INNER = (craft.NGINX, 50000, craft.GATEWAY, 3000)
STORE = (craft.GATEWAY, 50001, craft.REDIS, 6379)
OTHERS = (craft.GATEWAY, 50002, craft.REDIS, 6379)


def whole() -> Wire:
    wire = Wire()
    wire.send(10, OUTER, b"", "br", "eth-n", flags=craft.SYN)
    wire.send(15, back(OUTER), b"", "eth-n", "br", flags=craft.SYN | craft.ACK)
    wire.send(30, OUTER, REQUEST, "br", "eth-n")
    wire.send(50, INNER, REQUEST, "eth-n", "eth-g")
    wire.send(55, OTHERS, b"GET a", "eth-g", "eth-r")  # asked by the gateway, meanwhile
    wire.send(58, back(OTHERS), b"b", "eth-r", "eth-g")
    wire.send(70, STORE, b"GET c", "eth-g", "eth-r")
    wire.send(80, back(STORE), b"d", "eth-r", "eth-g")
    wire.send(90, back(INNER), ANSWER, "eth-g", "eth-n")
    wire.send(92, back(INNER), b"more", "eth-g", "eth-n")
    wire.send(100, back(OUTER), ANSWER, "eth-n", "br", rewritten=back(CLIENT))
    wire.send(900, STORE, b"GET e", "eth-g", "eth-r")  # long after: not this request's
    wire.send(910, back(STORE), b"f", "eth-r", "eth-g")
    return wire


ASKED = Asked(CLIENT, T0, T0 + 20_000, T0 + 25_000, T0 + 120_000, 200, 2)


def steps_of(wire: Wire) -> tuple[report.Step, ...]:
    legs = joined(wire.sights, MARK, named)
    return report.steps(legs, ASKED, lambda name: name)


def test_every_moment_belongs_to_one_step():
    found = steps_of(whole())
    at = 0.0
    for one in found:
        assert one.at_us == pytest.approx(at)
        at += one.took_us
    assert at == pytest.approx(120)


def test_who_works_and_what_lies_between_are_told_in_turn():
    told = [(one.what, one.took_us) for one in steps_of(whole())]
    assert told == [
        ("client connects: SYN, SYN+ACK", 20),
        ("client sends", 10),
        ("br → eth-n", 1),
        ("nginx-lb works", 19),
        ("eth-n → eth-g", 1),
        ("api-gateway works", 4),
        ("eth-g → eth-r", 1),
        ("redis-cache works", 2),
        ("eth-r → eth-g", 1),
        ("api-gateway works", 11),
        ("eth-g → eth-r", 1),
        ("redis-cache works", 9),
        ("eth-r → eth-g", 1),
        ("api-gateway works", 9),
        ("api-gateway sends 1 more packets", 2),
        ("eth-g → eth-n", 1),
        ("nginx-lb works", 7),
        ("eth-n → br", 1),
        ("client wakes and reads", 19),
    ]


def test_a_connection_opened_on_the_way_is_a_step_of_its_own():
    wire = whole()
    wire.send(35, INNER, b"", "eth-n", "eth-g", flags=craft.SYN)
    wire.send(40, back(INNER), b"", "eth-g", "eth-n", flags=craft.SYN | craft.ACK)
    told = [(one.kind, one.what) for one in steps_of(wire)]
    place = told.index(("connect", "connect to api-gateway"))
    assert told[place - 1 : place + 2] == [
        ("work", "nginx-lb works"),
        ("connect", "connect to api-gateway"),
        ("work", "nginx-lb works"),
    ]


def test_nat_is_told_from_the_clients_socket_on():
    legs = joined(whole().sights, MARK, named)
    (found,) = report.rewrites(legs, ASKED)
    assert found.before_ends == "127.0.0.1:40000 → 127.0.0.1:8080"
    assert (found.until, found.after_ends) == ("br", "10.0.0.1:40000 → 10.0.0.10:80")


def test_nat_between_two_links_parts_no_connection():
    wire = Wire()
    door = ("203.0.113.10", 40000, "203.0.113.1", 8080)
    inside = ("203.0.113.10", 40000, craft.NGINX, 80)
    wire.send(30, door, REQUEST, "uplink", "br", rewritten=inside)
    wire.send(50, back(inside), ANSWER, "br", "uplink", rewritten=back(door))
    (leg,) = joined(wire.sights, MARK, named)
    assert [one.payload for one in leg.answers] == [ANSWER]
    found = report.rewrites([leg], replace(ASKED, ends=door))
    assert [(one.after, one.until) for one in found] == [("uplink", "br")]


def test_a_step_that_was_overtaken_takes_no_time():
    late = replace(ASKED, connected_ns=T0 + 33_000)  # the client was told after it had sent
    legs = joined(whole().sights, MARK, named)
    found = report.steps(legs, late, lambda name: name)
    assert min(one.took_us for one in found) > 0
    assert sum(one.took_us for one in found) == pytest.approx(120)


def test_what_nobody_saw_cannot_be_told():
    with pytest.raises(CannotTell, match="the request: was seen on no link"):
        report.steps([], ASKED, str)


@pytest.mark.parametrize("cut", [0, 20, 40, 53])
def test_a_frame_that_is_cut_is_no_segment(cut: int):
    frame = craft.ethernet(craft.ipv4(craft.NGINX, craft.REDIS, 6, craft.tcp(1, 2, craft.ACK)))
    assert segments.decode("x", 0, frame, len(frame)) is not None
    assert segments.decode("x", 0, frame[:cut], len(frame)) is None


BEFORE = """*nat
:OUTPUT ACCEPT [0:0]
[1:60] -A OUTPUT -j OURS
[1:60] -A OURS -d 10.0.0.10/32 -p tcp -m tcp --dport 80 -j MASQUERADE
[0:0] -A OURS ! -d 10.0.0.0/24 -j ACCEPT
[0:0] -A OURS -i elsewhere -j ACCEPT
[0:0] -A OURS ! -o br -j ACCEPT
[0:0] -A THEIRS -j DROP
COMMIT
"""
AFTER = (
    BEFORE.replace("[1:60]", "[3:180]")
    .replace("[0:0] -A OURS", "[5:300] -A OURS")
    .replace("[0:0] -A THEIRS", "[9:9] -A THEIRS")
)


def test_rules_that_counted_are_those_that_could_have_seen_the_request():
    more = rule_counters.more(BEFORE, AFTER)
    assert [one.packets for one in more] == [2, 2, 5, 5, 5, 9]
    assert rule_counters.more(AFTER, AFTER) == ()
    found = rule_counters.concerning(more, {OUTER}, {"br", "eth-n"})
    assert [(one.chain, one.packets, one.bytes) for one in found] == [
        ("OUTPUT", 2, 120),
        ("OURS", 2, 120),
        ("OURS", 5, 300),
    ]
    assert found[-1].rule.startswith("! -o br")


def test_a_rule_for_interfaces_that_begin_alike_is_for_each_of_them():
    """As iptables(8) has it: "+" at the end stands for any rest."""
    rules = ["-i br-+", "-o +", "! -o br-+", "-i br-app+", "-i br-", "-i eth+"]
    found = rule_counters.concerning(
        [Counted("filter", "FORWARD", f"{rule} -j ACCEPT", 1, 60) for rule in rules],
        {OUTER},
        {"br-app"},
    )
    assert [one.rule.removesuffix(" -j ACCEPT") for one in found] == rules[:4]


def travelled(world: str = "net") -> Journey:
    legs = joined(whole().sights, MARK, named)
    rule = '-p tcp -m comment --comment "twinstack:main the door" -j DNAT'
    return Journey(
        "net" if world == "net" else "docker",
        "flat",
        "/x",
        "http://127.0.0.1:8080/x",
        200,
        2,
        120.0,
        4,
        11,
        22,
        report.steps(legs, ASKED, lambda name: name),
        report.rewrites(legs, ASKED),
        (Counted("nat", "OUTPUT", rule, 1, 60),),
        (),
    )


def test_the_text_fits_80_columns_and_says_each_step():
    text = waterfall.side_by_side([travelled(), travelled("docker")])
    assert max(map(len, text.splitlines())) <= 80
    for one in travelled().steps:
        assert one.what in text
    assert "    1 nat OUTPUT -p tcp -j DNAT  (the door)" in text
    assert "127.0.0.1:40000 → 127.0.0.1:8080   (the client's socket)" in text
    (line,) = [line for line in text.splitlines() if line.startswith("in all")]
    assert line.split() == ["in", "all", "120", "120"]


def test_a_stage_of_one_world_alone_has_its_place():
    two = travelled("docker")
    extra = replace(two.steps[3], stage="docker-proxy")
    text = waterfall.table([travelled(), replace(two, steps=(*two.steps[:4], extra))])
    (line,) = [line for line in text.splitlines() if line.startswith("docker-proxy")]
    assert line.split()[1:3] == ["–", "19"]


def test_the_picture_is_whole_and_says_what_it_shows():
    picture = draw([travelled(), travelled("docker")])
    assert picture.count("<rect") == 1 + 2 * (3 + len(travelled().steps))
    assert "<title>One request's way: 120 µs in the net world and" in picture
    assert "10.0.0.1:40000 → 10.0.0.10:80" in picture


def test_several_journeys_are_told_of_one_by_one_and_the_middling_is_given(
    monkeypatch: pytest.MonkeyPatch,
):
    taken = iter([900.0, 100.0, 500.0])
    monkeypatch.setattr(travel, "travel", lambda *_: replace(travelled(), total_us=next(taken)))
    said: list[str] = []
    world = cast(LocalWorld, SimpleNamespace(name="net"))
    assert travel.middling(world, "/", 3, said.append).total_us == 500
    assert said == [
        "net: asking for /",
        "net: request 1 of 3: 900 µs",
        "net: request 2 of 3: 100 µs",
        "net: request 3 of 3: 500 µs",
    ]


def test_who_does_not_answer_is_named_with_a_command_that_tells_more():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(StepFailed) as caught:
            travel.ask(Endpoint("127.0.0.1", port), "/x", MARK)
    assert str(caught.value) == (
        f'http://127.0.0.1:{port}/x: does not answer: Connection refused; run "invoke health"'
    )
