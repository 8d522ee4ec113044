"""What differs between two snapshots is a sentence of its object, once."""

from __future__ import annotations

from twinstack.drill.difference import Difference, differences
from twinstack.drill.kernel_state import PlaceState, Scope
from twinstack.drill.restore import commands
from twinstack.drill.snapshot import Snapshot

LINK = {"link eth0": "veth", "link eth0 state": "up", "link eth0 mtu": "1500"}


def seen(**places: dict[str, str]) -> Snapshot:
    return Snapshot({}, {name: PlaceState(values, {}) for name, values in places.items()})


def sentences(before: Snapshot, after: Snapshot) -> list[str]:
    return [str(each) for each in differences(before, after, Scope(all_of_it=True))]


def test_each_difference_is_a_sentence() -> None:
    before = seen(web=LINK | {"route default via 10.0.0.1 dev eth0": ""})
    after = seen(web={**LINK, "link eth0 mtu": "900", "neighbour 10.0.0.9 on eth0": "02:00"})
    assert sentences(before, after) == [
        "web: link eth0 mtu is 900, was 1500",
        "web: route default via 10.0.0.1 dev eth0 is gone",
        "web: neighbour 10.0.0.9 on eth0 is new (02:00)",
    ]


def test_of_a_link_that_is_gone_its_attributes_are_not_told() -> None:
    lo = {"link lo": "loopback"}
    assert sentences(seen(web=LINK | lo), seen(web=lo)) == ["web: link eth0 is gone"]


def test_a_place_that_is_gone_is_one_difference() -> None:
    assert sentences(seen(web=LINK), seen()) == ["web: its network namespace is gone"]


def test_the_mac_address_of_a_link_counts_while_it_is_the_same_link() -> None:
    one = {"MAC address of eth0 (2/7)": "aa"}
    assert sentences(seen(web=one), seen(web={"MAC address of eth0 (2/9)": "bb"})) == []
    assert sentences(seen(web=one), seen(web={"MAC address of eth0 (2/7)": "bb"})) != []


def test_what_the_kernel_alone_can_put_right_is_a_command() -> None:
    def undone(what: str, was: str | None, now: str | None, place: str = "web") -> list[str]:
        return list(commands(Difference(place, what, was, now), {"eth@flat": "eth1"}))

    assert undone("sysctl net.ipv4.ip_forward", "1", "0") == ["sysctl -qw net.ipv4.ip_forward=1"]
    assert undone("route default via 10.0.0.1 dev eth@flat", "", None) == [
        "ip route replace default via 10.0.0.1 dev eth1"
    ]
    assert undone("routing rule 100: from 10.0.0.40 lookup 99", None, "") == [
        "ip rule del from 10.0.0.40 lookup 99 pref 100"
    ]
    assert undone("sysctl net.ipv4.conf.eth@flat.rp_filter", "0", "1") == [
        "sysctl -qw net.ipv4.conf.eth1.rp_filter=0"
    ]
    assert undone("address 10.0.0.9/24 on eth@flat", None, "global") == [
        "ip address del 10.0.0.9/24 dev eth1"
    ]
    assert undone("neighbour 10.0.0.9 on eth0", "02:00", "02:01") == [
        "ip neigh replace 10.0.0.9 lladdr 02:00 dev eth0 nud permanent"
    ]
    assert undone("qdisc root on eth0", None, "tbf rate 1Mbit") == ["tc qdisc del dev eth0 root"]
    assert undone("qdisc ingress on eth0", None, "ingress") == ["tc qdisc del dev eth0 ingress"]
    assert undone("link eth@flat mtu", "1500", "900") == ["ip link set eth1 mtu 1500"]
    assert undone("link eth0 master", None, "br-app") == ["ip link set eth0 nomaster"]
    assert undone("link ve-web port isolated", "False", "True") == [
        "bridge link set dev ve-web isolated off"
    ]
    assert undone("link dummy0", None, "dummy") == ["ip link del dummy0"]
    assert undone("link lab1", None, "veth", "host") == ["ip link set lab1 nomaster"]
    assert undone("file /etc/hosts", "0:0", "0:1") == []
    assert undone("FDB entry 02:aa on eth0", None, "self permanent") == [
        "bridge fdb del 02:aa dev eth0 self permanent"
    ]
