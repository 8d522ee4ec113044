"""Drills of the overlay: VXLAN links, FDB entries, the underlay's MTU.

Their names are those of `overlay_site`; nginx-lb and api-gateway are on different hosts.
"""

from __future__ import annotations

from twinstack.drill.drill import Drill

_SHOP = "{nginx-lb.on_host} curl -fsS -m 3 -o /dev/null http://{nginx-lb.address}/api/products"
#: With a cookie that fills one packet: several go as one, and are cut by who receives them.
_LONG = _SHOP.replace("http:", "-H \"Cookie: seen=$(printf '%01000d' 0)\" http:")
_ENTRY = "{nginx-lb.on_host} bridge fdb"
_TO_GATEWAY = "{api-gateway.mac} dev {nginx-lb.tunnel}"
_TUNNEL = "{nginx-lb.on_host} ip link set dev {nginx-lb.tunnel}"

DRILLS: tuple[Drill, ...] = (
    Drill(
        name="tunnel-down",
        area="VXLAN",
        level=2,
        symptom="The shop's pages are errors. On each host all is well, and the hosts reach each"
        " other.",
        probes=(_SHOP,),
        put=(f"{_TUNNEL} down",),
        hints=(
            "Within a host all works, and between hosts nothing of the shop. What joins them?",
            "`ip -br -d link show type vxlan`, on each host.",
            "{nginx-lb.tunnel} is down on nginx-lb's host.",
        ),
        repair=(f"{_TUNNEL} up",),
        explanation="The VXLAN link was down on one host: its bridge had no way to the others. The"
        " underlay carried pings and everything else.",
        wrong=(
            f"{_TUNNEL} up",
            (
                "{nginx-lb.on_host} bridge link set dev {nginx-lb.tunnel} learning on flood on"
                " mcast_flood on"
            ),
        ),
        refusal="learns, floods",
        worlds=("overlay",),
        restart="api-gateway",
    ),
    Drill(
        name="wrong-vtep",
        area="VXLAN",
        level=3,
        symptom="nginx finds no gateway since that was moved to another host. Everything else on"
        " that host is found.",
        probes=(_SHOP,),
        put=(f"{_ENTRY} replace {_TO_GATEWAY} dst {{nginx-lb.no_vtep}} self permanent",),
        hints=(
            "ARP is answered, by the host's own bridge. To which host does the frame go then?",
            "`bridge fdb show dev {nginx-lb.tunnel}` on nginx-lb's host: a MAC address, a VTEP.",
            "{api-gateway.mac} is behind {api-gateway.vtep}; the entry says {nginx-lb.no_vtep}.",
        ),
        repair=(f"{_ENTRY} replace {_TO_GATEWAY} dst {{api-gateway.vtep}} self permanent",),
        explanation="Nothing is learned here: each host's entries say behind which VTEP a MAC"
        " address is. One of them named a host that is not there, so frames were sent to nobody.",
        wrong=(f"{_ENTRY} del {_TO_GATEWAY} dst {{nginx-lb.no_vtep}} self",),
        refusal="misses 1 forwarding",
        worlds=("overlay",),
        restart="api-gateway",
    ),
    Drill(
        name="underlay-mtu",
        area="VXLAN",
        level=4,
        symptom="Some customers get no page any more, those with a long cookie. Health checks"
        " between the hosts are green.",
        probes=(_SHOP, _LONG),
        put=("ip link set dev {api-gateway.host_end} mtu 1280",),
        hints=(
            "It depends on the size of a request, and only between two hosts.",
            (
                "A frame of 1450 bytes needs 50 more on the underlay, and may not be fragmented."
                " Compare the MTU of every link on the way, the host's port on the underlay too."
            ),
            "{api-gateway.host_end}, the port of api-gateway's host, has an MTU of 1280.",
        ),
        repair=("ip link set dev {api-gateway.host_end} mtu 1500",),
        explanation="The tunnel takes packets of 1450 bytes, since the underlay carries 1500. One"
        " port of the underlay took 1280 and dropped the rest without a word: a bridge sends no"
        " ICMP.",
        wrong=("{nginx-lb.enter} ip link set dev {nginx-lb.link} mtu 1200",),
        refusal="mtu 1",
        worlds=("overlay",),
        restart="api-gateway",
    ),
)
