"""Rules that touch our packets are written back; a stranger's stay as they are."""

from __future__ import annotations

from ipaddress import IPv4Network

from twinstack.drill.kernel_state import Scope
from twinstack.drill.rules import changes, restoring
from twinstack.model import names

CHAINS = (names.chain_pattern("main", "net").pattern,)
OURS = Scope(frozenset({"br-app", "ve-order"}), (IPv4Network("10.0.0.0/24"),), chains=CHAINS)
BEFORE: dict[str, tuple[str, ...]] = {
    "filter": (
        ":FORWARD ACCEPT",
        ":TS-main-FORWARD -",
        ":ufw-input -",
        '-A FORWARD -m comment --comment "twinstack:main" -j TS-main-FORWARD',
        "-A FORWARD -j ufw-input",
        "-A TS-main-FORWARD -i br-app -j ACCEPT",
        "-A TS-main-FORWARD -j RETURN",
        "-A ufw-input -p tcp --dport 22 -j ACCEPT",
    )
}


def after(*lines: str) -> dict[str, tuple[str, ...]]:
    return {"filter": (*BEFORE["filter"], *lines)}


def told(now: dict[str, tuple[str, ...]]) -> list[tuple[str, bool, bool]]:
    return [(each.line, each.new, each.ours) for each in changes(BEFORE, now, OURS)]


def test_nothing_differs_from_itself() -> None:
    assert told(BEFORE) == []
    assert restoring(BEFORE, BEFORE, OURS) == ""


def test_a_rule_that_names_a_link_or_an_address_of_ours_or_nothing_touches_our_packets() -> None:
    for rule in (
        "-A FORWARD -i br-app -j DROP",
        "-A FORWARD -d 10.0.0.40/32 -o uplink -j DROP",
        "-A FORWARD -j ACCEPT",
        "-A FORWARD -p tcp --dport 5432 -j DROP",
        "-A FORWARD -i br+ -j DROP",
    ):
        assert told(after(rule)) == [(rule, True, True)], rule


def test_a_rule_of_a_stranger_is_mentioned_and_stays() -> None:
    for rule in (
        "-A FORWARD -i wg0 -j ACCEPT",
        "-A FORWARD -s 192.168.7.0/24 -j DROP",
        "-A ufw-input -p tcp --dport 80 -j ACCEPT",
        "-A TS-main-FORWARD -o docker0 -j ACCEPT",
    ):
        assert told(after(rule)) == [(rule, True, False)], rule
        assert restoring(BEFORE, after(rule), OURS) == ""


def test_a_chain_that_a_stranger_made_is_none_of_our_business() -> None:
    made = after(":wg-quick -", "-A FORWARD -j wg-quick", "-A wg-quick -i wg0 -j ACCEPT")
    assert [each for each in told(made) if each[2]] == []
    assert restoring(BEFORE, made, OURS) == ""


def test_what_was_flushed_is_written_back_in_its_order_and_what_was_added_goes() -> None:
    flushed = {"filter": (":FORWARD DROP", "-A FORWARD -i wg0 -j ACCEPT", "-A FORWARD -j ACCEPT")}
    assert restoring(BEFORE, flushed, OURS).splitlines() == [
        "*filter",
        ":FORWARD ACCEPT [0:0]",
        ":TS-main-FORWARD - [0:0]",
        "-F FORWARD",
        "-A FORWARD -i wg0 -j ACCEPT",
        '-A FORWARD -m comment --comment "twinstack:main" -j TS-main-FORWARD',
        "-F TS-main-FORWARD",
        "-A TS-main-FORWARD -i br-app -j ACCEPT",
        "-A TS-main-FORWARD -j RETURN",
        "COMMIT",
    ]


def test_a_strangers_chain_that_is_gone_is_told_and_so_is_the_rule_that_led_to_it() -> None:
    others = (
        ":TS-main-D-FORWARD -",  # the other world's, which was taken down meanwhile
        ":TS-main-x-DENY -",
        "-A FORWARD -j TS-main-D-FORWARD",
        "-A TS-main-D-FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
        "-A TS-main-x-DENY -j DROP",
    )
    gone = {"filter": tuple(line for line in BEFORE["filter"] if "ufw-input" not in line)}
    told = list(changes(after(*others), gone, OURS))
    assert {each.ours for each in told} == {False}
    assert "-A FORWARD -j ufw-input" in {each.line for each in told}
    assert restoring(after(*others), gone, OURS) == ""


def test_a_chain_that_a_student_made_for_our_packets_goes_with_the_rules_that_lead_to_it() -> None:
    made = after(":mine -", "-A FORWARD -j mine", "-A mine -s 10.0.0.0/24 -j ACCEPT")
    text = restoring(BEFORE, made, OURS).splitlines()
    assert ":mine - [0:0]" in text
    assert text[-2:] == ["-X mine", "COMMIT"]
    assert "-A FORWARD -j mine" not in text


def test_another_order_is_a_difference() -> None:
    lines = list(BEFORE["filter"])
    lines[5], lines[6] = lines[6], lines[5]
    assert {line for line, _, ours in told({"filter": tuple(lines)}) if ours} != set()


def test_the_order_of_what_an_engine_appends_as_a_container_starts_says_nothing() -> None:
    published = (
        "-A DOCKER -d 10.0.0.10/32 ! -i br-app -o br-app -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A DOCKER -d 10.0.0.20/32 ! -i br-app -o br-app -p tcp -m tcp --dport 3000 -j ACCEPT",
    )
    itself = tuple(
        f"-A POSTROUTING -s 10.0.0.{n}/32 -d 10.0.0.{n}/32 -p tcp -m tcp --dport 80 -j MASQUERADE"
        for n in (10, 20)
    )
    for chain, (first, second) in (("DOCKER", published), ("POSTROUTING", itself)):
        before = {"filter": (f":{chain} -", first, second)}
        restarted = {"filter": (f":{chain} -", second, first)}
        scope = Scope(OURS.links, OURS.networks, chains=("DOCKER",))
        assert list(changes(before, restarted, scope)) == []
        gone = {"filter": (f":{chain} -", second)}
        assert [each.line for each in changes(before, gone, scope)] == [first]


def test_a_port_that_an_engines_resolver_draws_at_each_start_is_no_difference() -> None:
    def drawn(port: int) -> tuple[str, ...]:
        return (
            ":DOCKER_OUTPUT -",
            f"-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -j DNAT --to-destination 127.0.0.11:{port}",
            f"-A DOCKER_OUTPUT -s 127.0.0.11/32 -p udp --sport {port} -j SNAT --to-source :53",
        )

    everything = Scope(all_of_it=True)
    assert list(changes({"nat": drawn(43863)}, {"nat": drawn(51234)}, everything)) == []
    assert list(changes({"nat": drawn(1)}, {"nat": drawn(1)[:2]}, everything)) != []


def test_the_order_in_an_engines_own_chain_is_no_difference() -> None:
    lines = (":DOCKER -", "-A DOCKER -d 172.30.0.10/32 -j ACCEPT", "-A DOCKER -o dk-app -j DROP")
    everything = Scope(all_of_it=True)
    turned = (lines[0], lines[2], lines[1])
    assert list(changes({"filter": lines}, {"filter": turned}, everything)) == []
    assert list(changes({"filter": lines}, {"filter": lines[:2]}, everything)) != []
