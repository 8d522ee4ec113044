"""A world is compared with its plan item by item, and drawn so that nothing is misread."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pure.test_project import ROOT
from twinstack.linux.iptables import Hook
from twinstack.linux.links import LinkFacts
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import load
from twinstack.namespaces import rules
from twinstack.observe.picture import observed
from twinstack.observe.picture.declared import MOST_JUDGED, declared, judged
from twinstack.observe.picture.facts import Facts, Inside
from twinstack.observe.picture.mermaid import mermaid
from twinstack.observe.picture.model import Item, Scene, Seen, compare, document
from twinstack.observe.picture.svg import picture
from twinstack.observe.picture.text import text
from twinstack.observe.svg import MARGIN, WIDTH
from twinstack.printable import visible

TOPOLOGY = load(ROOT / "topology.yml")
PLANS = {shape: resolve(TOPOLOGY, shape) for shape in ("flat", "tiered")}
HOSTILE = ["<b>&\"'", "]];%%-->", "\x1b[31m", "`x`#1;", 'end"]', "\u202e"]


def interface(name: str, index: int, **words: object) -> LinkFacts:
    plain = LinkFacts(name, index, "veth", None, mtu=1500, up=True, master=None)
    return replace(plain, **words)  # type: ignore[arg-type]


def lines(hooks: Sequence[Hook]) -> tuple[str, ...]:
    """Write chains as iptables-save does."""
    chains = {"FORWARD", "INPUT", "OUTPUT", "PREROUTING", "POSTROUTING"}
    return (
        *(f":{one} ACCEPT [0:0]" for one in sorted(chains)),
        *(f":{hook.chain} - [0:0]" for hook in hooks),
        *(hook.jump for hook in hooks if hook.jump),
        *(line for hook in hooks for line in hook.lines),
    )


def whole(plan: Plan) -> Facts:
    """Give facts of a namespace world that is just as planned."""
    bridges = {one.name: number for number, one in enumerate(plan.segments, start=2)}
    host = [interface("lo", 1, kind="")]
    host += [
        interface(
            one.bridge,
            bridges[one.name],
            kind="bridge",
            alias=plan.mark,
            filtered=True,
            addresses=frozenset({f"{one.gateway}/{one.subnet.prefixlen}"}),
        )
        for one in plan.segments
    ]
    places = {}
    for number, one in enumerate(plan.replicas, start=10):
        host.append(
            interface(
                one.host_link,
                number,
                peer=2,
                master=plan.segment(one.segment).bridge,
                alias=plan.mark,
            )
        )
        inner = interface(
            "eth0", 2, peer=number, addresses=frozenset({f"{one.address}/{one.prefix_length}"})
        )
        places[one.name] = Inside((interface("lo", 1, kind=""), inner), (str(one.gateway),))
    hooks = rules.hooks(plan)
    tables = {
        table: lines([hook for hook in hooks if hook.table == table]) for table in ("nat", "filter")
    }
    return Facts(Inside(tuple(host)), places, tables)


def scene(plan: Plan, facts: Facts) -> Scene:
    items = compare(declared(plan, "net"), observed.observed(plan, "net", facts))
    return Scene("net", plan.shape, plan.policy, items, tuple(observed.notes(plan, "net", facts)))


def wrong(plan: Plan, facts: Facts) -> list[tuple[str, str, str]]:
    return [(one.kind, one.name, one.state) for one in scene(plan, facts).wrong]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
@pytest.mark.parametrize("policy", [True, False])
def test_a_world_as_planned_differs_in_nothing(shape: str, policy: bool):
    plan = replace(PLANS[shape], policy=policy)
    found = scene(plan, whole(plan))
    assert found.wrong == ()
    assert len(found.of("link")) == len(plan.replicas)
    assert bool(found.of("flow")) == policy
    assert bool(found.notes) != policy


def test_what_is_gone_is_missing_with_all_that_hung_on_it():
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    without = tuple(one for one in facts.host.interfaces if one.name != "ve-redis-cache")
    places = {name: one for name, one in facts.places.items() if name != "redis-cache"}
    assert wrong(plan, replace(facts, host=Inside(without), places=places)) == [
        ("place", "redis-cache", "missing"),
        ("link", "redis-cache@app", "missing"),
    ]


def test_a_strangers_link_on_our_bridge_is_undeclared():
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    strange = (interface("lab0", 90, master="br-app"), interface("lab1", 91))
    found = scene(plan, replace(facts, host=Inside((*facts.host.interfaces, *strange))))
    assert [(one.name, one.state) for one in found.wrong] == [("lab0", "undeclared")]


def test_a_link_into_another_bridge_or_down_differs():
    plan, facts = PLANS["tiered"], whole(PLANS["tiered"])
    moved = tuple(
        replace(one, master="br-frontend")
        if one.name == "ve-redis-cache"
        else replace(one, up=False)
        if one.name == "ve-postgres-db"
        else one
        for one in facts.host.interfaces
    )
    assert wrong(plan, replace(facts, host=Inside(moved))) == [
        ("link", "redis-cache@database", "missing"),
        ("link", "postgres-db@database", "differs"),
        ("link", "redis-cache@frontend", "undeclared"),
    ]


def test_an_index_alone_joins_no_pair():
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    of_another = next(one for one in facts.host.interfaces if one.name == "ve-nginx-lb")
    tunnel = interface("tun0", 7, peer=of_another.index)  # by chance: an index of elsewhere
    place = facts.places["redis-cache"]
    places = {**facts.places, "redis-cache": Inside((*place.interfaces, tunnel), place.gateways)}
    assert wrong(plan, replace(facts, places=places)) == [
        ("link", "redis-cache:tun0", "undeclared")
    ]


def test_a_replica_that_is_declared_no_longer_is_undeclared():
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    fewer = replace(plan, replicas=plan.replicas[:-1])
    gone = plan.replicas[-1].name
    assert ("place", gone, "undeclared") in wrong(fewer, facts)
    assert ("link", f"{gone}@app", "undeclared") in wrong(fewer, facts)


@pytest.mark.parametrize(
    ("table", "take", "expected"),
    [
        ("nat", "--to-destination", [("door", "0.0.0.0:8080", "missing")]),
        ("nat", "-j MASQUERADE", [("nat", "10.0.0.0/24", "missing")]),
        ("nat", "-j TS-main-POSTROUTING", [("nat", "10.0.0.0/24", "missing")]),
        (
            "filter",
            "nginx-lb to api-gateway",
            [("flow", "nginx-lb → api-gateway tcp 3000", "missing")],
        ),
        (
            "filter",
            "product-service-2 to redis-cache",
            [("flow", "product-service → redis-cache tcp 6379", "differs")],
        ),
    ],
)
def test_a_rule_that_is_gone_takes_what_it_opened(
    table: str, take: str, expected: list[tuple[str, str, str]]
):
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    kept = tuple(line for line in facts.rules[table] if take not in line)
    assert len(kept) < len(facts.rules[table])
    assert wrong(plan, replace(facts, rules={**facts.rules, table: kept})) == expected


def test_the_way_out_and_the_way_to_the_host_are_flows_too():
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    told = text([scene(plan, facts)])
    assert "    nginx-lb → api-gateway:3000, outside:53,80,443,53/udp" in told
    assert "redis-cache →" not in told  # a store asks nobody
    rule = "-A INPUT -i br-app -p tcp -m tcp --dport 22 -j ACCEPT"
    opened = {**facts.rules, "filter": (rule, *facts.rules["filter"])}
    found = wrong(plan, replace(facts, rules=opened))
    services = {one.service for one in plan.replicas}
    assert found == [("flow", f"{one} → host tcp 22", "undeclared") for one in sorted(services)]


def test_a_strangers_rule_that_opens_is_seen():
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    rule = "-A FORWARD -s 10.0.0.10/32 -d 10.0.0.50/32 -p tcp -m tcp --dport 6379 -j ACCEPT"
    door = "-A PREROUTING -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.0.0.60:5432"
    opened = {"filter": (rule, *facts.rules["filter"]), "nat": (*facts.rules["nat"], door)}
    assert wrong(plan, replace(facts, rules=opened)) == [
        ("door", "0.0.0.0:8081", "undeclared"),
        ("flow", "nginx-lb → redis-cache tcp 6379", "undeclared"),
    ]


def test_one_world_is_nothing_of_the_others():
    facts = replace(whole(PLANS["flat"]), places={})
    found = observed.observed(PLANS["flat"], "docker", facts)
    assert {one.kind for one in found} <= {"flow"}


def test_an_engine_may_lead_a_port_to_any_address_of_a_container_on_several_networks():
    plan = PLANS["tiered"]
    replica = plan.replica("api-gateway")
    assert len(replica.attachments) == 2
    other, edge = replica.attachments[1].address, plan.replica("nginx-lb").docker_address
    to = "-p tcp -m tcp --dport {} -j DNAT --to-destination {}:{}"
    doors = {
        "nat": (
            ":DOCKER - [0:0]",
            "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
            f"-A DOCKER -d 127.0.0.1/32 ! -i dk0 {to.format(3000, other, 3000)}",
            f"-A DOCKER ! -i dk0 {to.format(8088, edge, 81)}",
        )
    }
    found = compare(
        declared(plan, "docker"), observed.observed(plan, "docker", Facts(Inside(()), {}, doors))
    )
    assert {one.name: (one.state, one.fact("for")) for one in found if one.kind == "door"} == {
        "127.0.0.1:3000": ("as declared", "this host"),
        "0.0.0.0:8088": ("differs", "other machines"),
    }


def test_a_bridge_whose_frames_pass_no_rule_opens_everything_between_neighbours():
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    bare = tuple(replace(one, filtered=False) for one in facts.host.interfaces)
    found = scene(plan, replace(facts, host=Inside(bare)))
    assert "frames on br-app pass no iptables" in found.notes[0]
    assert len(found.wrong) > 100
    assert len(text([found]).splitlines()) < 60  # what is alike is one line


def test_a_large_world_is_judged_by_the_first_of_each_service():
    plan = PLANS["flat"]
    many = replace(plan, replicas=plan.replicas * (MOST_JUDGED // len(plan.replicas) + 1))
    asked = {cell.destination for cell in judged(many, "net")} - {"host", "outside"}
    assert asked == {plan.replicas_of(one.service)[0].name for one in plan.replicas}


def test_facts_of_one_side_alone_are_no_difference():
    found = compare([Item("link", "a", {"mtu": "1500"})], [Item("link", "a", {"outside": "v1"})])
    assert (found[0].state, dict(found[0].facts)) == (
        "as declared",
        {"mtu": "1500", "outside": "v1"},
    )


def hostile() -> Scene:
    """Give a world on whose bridge hang links with the worst of names."""
    plan, facts = PLANS["flat"], whole(PLANS["flat"])
    strange = tuple(
        interface(name, 90 + number, master="br-app") for number, name in enumerate(HOSTILE)
    )
    places = {**facts.places, HOSTILE[0]: Inside(())}
    host = Inside((*facts.host.interfaces, *strange))
    return scene(plan, replace(facts, host=host, places=places))


@functools.cache
def scenes() -> list[Scene]:
    plans = [PLANS["flat"], PLANS["tiered"]]
    gone = whole(PLANS["flat"])
    return [
        *(scene(plan, whole(plan)) for plan in plans),
        hostile(),
        scene(PLANS["flat"], replace(gone, places={})),
    ]


@pytest.mark.parametrize("number", range(4))
def test_text_fits_eighty_columns_and_holds_no_control(number: int):
    told = text([scenes()[number]])
    assert max(len(line) for line in told.splitlines()) <= 80
    assert all(letter.isprintable() or letter == "\n" for letter in told)


@pytest.mark.parametrize("number", range(4))
def test_the_picture_is_well_formed_and_shows_every_name(number: int):
    one = scenes()[number]
    root = ElementTree.fromstring(picture([one]))
    told = "\n".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))
    for item in (*one.of("bridge"), *one.of("place")):
        assert visible(item.name) in told
    assert "prefers-color-scheme:dark" in picture([one])
    assert root.find(".//{http://www.w3.org/2000/svg}script") is None
    if one.wrong:
        assert "undeclared" in told or "missing" in told  # in words, not by colour alone


def test_the_longest_name_of_a_link_crosses_no_bridge_that_is_carried_on():
    longest = "ve-produc-30d37"  # 15 letters: as many as a link may have
    facts = whole(PLANS["flat"])
    host = tuple(
        replace(one, name=longest) if one.name == "ve-nginx-lb" else one
        for one in facts.host.interfaces
    )
    drawn = picture(
        [scene(PLANS["flat"], replace(facts, host=replace(facts.host, interfaces=host)))]
    )
    found = re.findall(rf'x="(\d+)" y="\d+" text-anchor="(\w+)">{longest}<', drawn)
    assert len(found) >= 1
    for at, anchor in found:
        left = int(at) - (6.4 * len(longest) if anchor == "end" else 0)  # letters of 11 pixels
        assert left > MARGIN + 3
        assert left + 6.4 * len(longest) < WIDTH


#: The lines that we write, by the grammar of Mermaid's flowcharts: a quoted text holds no quote.
_TEXT = r'"[^"`<>]*(?:<br>[^"`<>]*)*"'
_NODE = rf"\w+(?:\[\[{_TEXT}\]\]|\(\[{_TEXT}\]\)|\(\({_TEXT}\)\)|\[{_TEXT}\])"
_LINE = re.compile(
    rf"flowchart TB|subgraph \w+\[{_TEXT}\]|end|class [\w,]+ \w+|classDef \w+ [\w:#,\- ]+|{_NODE}"
    rf"|{_NODE} ~~~ {_NODE}|\w+ --- \w+|\w+ -\. {_TEXT} \.- \w+"
    rf"|\w+ (?:-->|-\.->|==>)\|{_TEXT}\| \w+"
)


@pytest.mark.parametrize("number", range(4))
def test_every_line_of_the_flowchart_is_of_its_grammar(number: int):
    drawn = mermaid([scenes()[number], scenes()[0]])
    odd = [line for line in drawn.splitlines() if not _LINE.fullmatch(line.strip())]
    assert odd == []
    words = drawn.split()
    assert words.count("subgraph") == words.count("end")


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/:"), min_size=1, max_size=15
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=NAMES)
def test_no_name_of_a_link_breaks_a_drawing(name: str):
    one = replace(
        scenes()[0],
        items=(
            *scenes()[0].items,
            Seen("link", name, "undeclared", {"bridge": "br-app", "outside": name}),
        ),
    )
    told = text([one])
    assert all(letter.isprintable() or letter == "\n" for letter in told)
    ElementTree.fromstring(picture([one]))
    assert [line for line in mermaid([one]).splitlines() if not _LINE.fullmatch(line.strip())] == []
    json.dumps(document([one]))


def test_json_is_stable_and_says_each_state():
    one = hostile()
    told = json.dumps(document([one]))
    assert told == json.dumps(document([hostile()]))
    items = json.loads(told)["worlds"][0]["items"]
    assert {item["name"] for item in items if item["state"] == "undeclared"} == set(HOSTILE)
    assert set(items[0]) == {"kind", "name", "state", "facts", "differences"}
