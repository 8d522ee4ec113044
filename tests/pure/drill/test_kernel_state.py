"""What a shell prints of a namespace becomes a table of what counts; of the host only ours."""

from __future__ import annotations

from ipaddress import IPv4Network

from twinstack.drill.kernel_state import Scope, parse

OURS = Scope(frozenset({"br-app", "veth1"}), (IPv4Network("10.0.0.0/24"),), (), {"veth1": "a@flat"})
LINKS = """[
{"ifindex":2,"ifname":"uplink","flags":["UP","LOWER_UP"],"mtu":1500,"address":"aa","addr_info":[]},
{"ifindex":3,"ifname":"br-app","flags":["UP"],"mtu":1500,"address":"bb","linkinfo":{
 "info_kind":"bridge","info_data":{"stp_state":0,"gc_timer":0.06}},
 "addr_info":[{"family":"inet","local":"10.0.0.1","prefixlen":24,"scope":"global"}]},
{"ifindex":4,"link_index":2,"ifname":"veth1","flags":[],"mtu":900,"master":"br-app","address":"cc",
 "linkinfo":{"info_kind":"veth","info_slave_data":{"state":"disabled","hairpin":true}},
 "addr_info":[]},
{"ifindex":5,"ifname":"lab0","flags":["UP"],"mtu":1500,"master":"br-app","address":"dd",
 "linkinfo":{"info_kind":"dummy"},
 "addr_info":[{"family":"inet","local":"192.0.2.9","prefixlen":24,"scope":"global"}]}]"""
TEXT = "~~~~\n".join(
    (
        LINKS,
        (
            "default via 203.0.113.10 dev uplink \n10.0.0.0/24 dev br-app proto kernel linkdown \n"
            "10.0.0.40 dev uplink scope link \n192.0.2.0/24 dev uplink \n10.0.0.0/8 dev tun0 \n"
        ),
        "0:\tfrom all lookup local\n50:\tfrom 192.0.2.1 lookup 9\n60:\tfrom 10.0.0.4 lookup 9\n",
        "10.0.0.9 dev br-app lladdr 02:00 PERMANENT\n192.0.2.9 dev uplink lladdr 02:01 PERMANENT\n",
        (
            "qdisc noqueue 0: dev br-app root refcnt 2\n"
            "qdisc tbf 8001: dev veth1 root refcnt 2 rate 1Mbit burst 10Kb lat 50ms\n"
        ),
        (
            "33:33:00:00:00:01 dev br-app self permanent\ncc dev veth1 master br-app permanent\n"
            "02:aa dev veth1 master br-app static\n02:bb dev uplink self permanent\n"
        ),
        "*filter\n:FORWARD DROP [5:300]\n-A FORWARD -j ACCEPT\nCOMMIT\n",
        (
            "/proc/sys/net/ipv4/ip_forward:1\n/proc/sys/net/ipv4/conf/uplink/rp_filter:1\n"
            "/proc/sys/net/ipv4/conf/veth1/rp_filter:2\n"
            "/proc/sys/net/netfilter/nf_conntrack_count:77\n"
        ),
        "",
    )
)


def test_of_the_host_only_what_is_ours_is_in_the_table() -> None:
    network = parse(TEXT, OURS).network
    for key, value in (
        ("link br-app", "bridge"),
        ("link br-app state", "up"),
        ("link br-app stp_state", "0"),
        ("address 10.0.0.1/24 on br-app", "global"),
        ("link a@flat state", "down"),
        ("link a@flat mtu", "900"),
        ("link a@flat master", "br-app"),
        ("link a@flat port hairpin", "True"),
        ("link a@flat port state", "forwarding"),  # without a carrier it is nothing else
        ("MAC address of a@flat (4/2)", "cc"),
        ("route 10.0.0.0/24 dev br-app proto kernel", ""),
        ("route 10.0.0.40 dev uplink scope link", ""),
        ("routing rule 0: from all lookup local", ""),
        ("routing rule 60: from 10.0.0.4 lookup 9", ""),
        ("neighbour 10.0.0.9 on br-app", "02:00"),
        ("FDB entry 02:aa on a@flat", "master br-app static"),
        ("sysctl net.ipv4.ip_forward", "1"),
        ("sysctl net.ipv4.conf.a@flat.rp_filter", "2"),
        ("link lab0 master", "br-app"),  # a stranger's, in a port of our bridge
    ):
        assert network[key] == value, key
    assert network["qdisc root on a@flat"].startswith("tbf rate 1Mbit")
    strange = (
        "192.0.2",
        "203.0.113",
        "on uplink",
        "link uplink",
        "conf.uplink",
        "33:33",
        "_count",
        "tun0",
    )
    assert [key for key in network if any(word in key for word in strange)] == []


def test_a_rules_counters_are_left_out() -> None:
    assert parse(TEXT, OURS).rules == {"filter": (":FORWARD DROP", "-A FORWARD -j ACCEPT")}


def test_inside_a_replica_everything_is_ours() -> None:
    network = parse(TEXT, Scope(all_of_it=True)).network
    assert "link uplink" in network
    assert "route 192.0.2.0/24 dev uplink" in network
