"""Drills of addresses and neighbours."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import mac
from twinstack.drill.catalogue.probes import ORDERS, SHOP
from twinstack.drill.drill import Drill

_GATEWAY_MAC, _STORE_MAC = mac("api-gateway"), mac("postgres-db")
_NOBODY = "02:00:00:00:00:99"
_PINNED = "{nginx-lb.enter} ip neigh replace {api-gateway.address} dev {nginx-lb.link}"
_FORGET = (
    "{order-service.enter} ip neigh flush dev {order-service[postgres-db].link};"
    " ip neigh flush dev {postgres-db.bridge}"
)
_STORE_ADDRESS = "{postgres-db.address}/{postgres-db.prefix}"

DRILLS: tuple[Drill, ...] = (
    Drill(
        name="no-address",
        area="addressing and ARP",
        level=1,
        symptom="The shop cannot be reached. nginx runs and has written nothing since noon.",
        probes=(SHOP,),
        put=(
            (
                "{nginx-lb.enter} ip address del {nginx-lb.address}/{nginx-lb.prefix}"
                " dev {nginx-lb.link}"
            ),
        ),
        hints=(
            "Follow one request: to which address does it go, and who has that address?",
            "`ip -br address` in the namespace of nginx-lb, and `ip route` there.",
            "{nginx-lb.link} of nginx-lb has lost {nginx-lb.address}, its routes with it.",
        ),
        repair=(
            (
                "{nginx-lb.enter} ip address add {nginx-lb.address}/{nginx-lb.prefix}"
                " dev {nginx-lb.link}"
            ),
            "{nginx-lb.enter} ip route add {nginx-lb.default_route}",
        ),
        explanation="The address was removed from nginx-lb's link. With a link's last address all"
        " routes by it go, the default route too: it does not come back with the address.",
        wrong=("{nginx-lb.enter} ip address add {nginx-lb.address}/16 dev {nginx-lb.link}",),
        refusal="/16",
        undo=(
            (
                "{nginx-lb.enter} ip address add {nginx-lb.address}/{nginx-lb.prefix}"
                " dev {nginx-lb.link} 2>/dev/null || true"
            ),
            "{nginx-lb.enter} ip route add {nginx-lb.default_route} 2>/dev/null || true",
        ),
        restart="api-gateway",
    ),
    Drill(
        name="pinned-neighbour",
        area="addressing and ARP",
        level=2,
        symptom="Every page is a 504. The gateway is well and has no request to answer.",
        probes=(SHOP,),
        put=(f"{_PINNED} lladdr {_NOBODY} nud permanent",),
        hints=(
            "nginx and the gateway are neighbours on one bridge. How does one find the other?",
            "`ip neigh` in the namespace of nginx-lb; compare with the gateway's own MAC address.",
            f"{{api-gateway.address}} is pinned to {_NOBODY}, which nobody has.",
        ),
        repair=("{nginx-lb.enter} ip neigh del {api-gateway.address} dev {nginx-lb.link}",),
        explanation="A permanent neighbour entry is never asked for again. It named a MAC address"
        " that no port has, so the bridge flooded nginx's frames to all, and all dropped them.",
        wrong=(f"{_PINNED} lladdr {_GATEWAY_MAC} nud permanent",),
        refusal="neighbour",
        undo=(
            (
                "{nginx-lb.enter} ip neigh del {api-gateway.address} dev {nginx-lb.link}"
                " 2>/dev/null || true"
            ),
        ),
        restart="api-gateway",
    ),
    Drill(
        name="no-arp",
        area="addressing and ARP",
        level=3,
        symptom="Orders fail since the database's link was hardened. Its listener is there, and"
        " its address too.",
        probes=(ORDERS,),
        put=("{postgres-db.enter} ip link set dev {postgres-db.link} arp off", _FORGET),
        hints=(
            "The order service sends no packet at all: what does it need before it can?",
            "`ip neigh` of who asks says FAILED; who should have answered, and may it?",
            "{postgres-db.link} of postgres-db has the flag NOARP.",
        ),
        repair=("{postgres-db.enter} ip link set dev {postgres-db.link} arp on", _FORGET),
        explanation="With ARP off a link neither answers who asks for its address nor asks for"
        " others'. Whoever still had its MAC address went on for a while, then lost it.",
        wrong=(
            (
                "{order-service.enter} ip neigh replace {postgres-db.address} lladdr"
                f" {_STORE_MAC} dev {{order-service[postgres-db].link}} nud permanent"
            ),
            (
                "{postgres-db.enter} ip neigh replace {order-service[postgres-db].address} lladdr"
                f" {mac('order-service')} dev {{postgres-db.link}} nud permanent"
            ),
        ),
        refusal="postgres-db",
        shapes=("flat",),
        restart="redis-cache",
    ),
    Drill(
        name="renumbered",
        area="addressing and ARP",
        level=4,
        symptom="Orders fail at once: connection refused by the database. It runs, listens, and"
        " nobody refuses anything in its log.",
        probes=(ORDERS,),
        put=(
            "{postgres-db.enter} ip address add {postgres-db.unused}/32 dev {postgres-db.link}",
            f"{{postgres-db.enter}} ip address del {_STORE_ADDRESS} dev {{postgres-db.link}}",
            f"{{redis-cache.enter}} ip address add {_STORE_ADDRESS} dev {{redis-cache.link}}",
            _FORGET,
        ),
        hints=(
            "Somebody refuses. Is it the database?",
            (
                "`ip neigh` of who asks gives the MAC address that answers for"
                " {postgres-db.address}; find the link that has it."
            ),
            "redis-cache has {postgres-db.address}; postgres-db has {postgres-db.unused} instead.",
        ),
        repair=(
            f"{{redis-cache.enter}} ip address del {_STORE_ADDRESS} dev {{redis-cache.link}}",
            f"{{postgres-db.enter}} ip address add {_STORE_ADDRESS} dev {{postgres-db.link}}",
            "{postgres-db.enter} ip address del {postgres-db.unused}/32 dev {postgres-db.link}",
            _FORGET,
        ),
        explanation="A renumbering stopped half way: the database's address was on redis-cache,"
        " where nothing listens on its port, so the kernel there sent the reset. ARP, routes and"
        " rules were all in order, for the wrong host.",
        wrong=(
            f"{{postgres-db.enter}} ip address add {_STORE_ADDRESS} dev {{postgres-db.link}}",
            (
                "{order-service.enter} ip neigh replace {postgres-db.address} lladdr"
                f" {_STORE_MAC} dev {{order-service[postgres-db].link}} nud permanent"
            ),
            (
                f"ip neigh replace {{postgres-db.address}} lladdr {_STORE_MAC}"
                " dev {postgres-db.bridge} nud permanent"
            ),
        ),
        refusal="redis-cache",
        undo=(
            (
                f"{{redis-cache.enter}} ip address del {_STORE_ADDRESS} dev {{redis-cache.link}}"
                " 2>/dev/null || true"
            ),
            (
                f"{{postgres-db.enter}} ip address add {_STORE_ADDRESS} dev {{postgres-db.link}}"
                " 2>/dev/null || true"
            ),
            (
                "{postgres-db.enter} ip address del {postgres-db.unused}/32 dev {postgres-db.link}"
                " 2>/dev/null || true"
            ),
            _FORGET,
        ),
        restart="service-registry",
    ),
)
