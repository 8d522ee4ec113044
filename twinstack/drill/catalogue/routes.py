"""Drills of routes, routing rules, forwarding and path MTU."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import FORGET_ORDERS, deleted, without
from twinstack.drill.catalogue.probes import CART, ORDERS, PAGE, SHOP
from twinstack.drill.drill import Drill

_NEEDED = (
    "iptables -I OUTPUT -p icmp -m icmp --icmp-type fragmentation-needed"
    " -m comment --comment 'no ICMP from the router' -j DROP"
)
_TABLE = "73"
_OWN_RP_FILTER = "$(sysctl -n net.ipv4.conf.default.rp_filter)"

DRILLS: tuple[Drill, ...] = (
    Drill(
        name="blackhole",
        area="routes",
        level=1,
        symptom="Orders fail at once, carts and the catalogue are fine. The database has heard"
        " nothing.",
        probes=(ORDERS,),
        put=("{order-service.enter} ip route add blackhole {postgres-db.address}/32",),
        hints=(
            "It fails at once, without waiting: the packet never left the order service.",
            "`ip route get {postgres-db.address}` in the namespace of order-service.",
            "A blackhole route to {postgres-db.address} is in its main table.",
        ),
        repair=("{order-service.enter} ip route del blackhole {postgres-db.address}/32",),
        explanation="The most specific route wins. A blackhole of one address, perhaps from an"
        " incident long over, beat the route to the network.",
        wrong=(
            (
                "{order-service.enter} ip route replace {postgres-db.address}/32 via"
                " {order-service[postgres-db].gateway} dev {order-service[postgres-db].link}"
            ),
        ),
        refusal="route ",
        undo=(
            (
                "{order-service.enter} ip route flush root {postgres-db.address}/32"
                " 2>/dev/null || true"
            ),
        ),
        restart="postgres-db",
    ),
    Drill(
        name="wrong-next-hop",
        area="routes",
        level=2,
        symptom="Carts cannot be loaded. Orders without a cart still go through.",
        probes=(CART,),
        put=(
            (  # whoever had it may be remembered
                "{order-service.enter} ip neigh flush to {order-service[redis-cache].unused}"
                " dev {order-service[redis-cache].link}"
            ),
            (
                "{order-service.enter} ip route add {redis-cache.address}/32 via"
                " {order-service[redis-cache].unused} dev {order-service[redis-cache].link}"
            ),
        ),
        hints=(
            "Who is asked to carry the packets to redis-cache?",
            "`ip route get {redis-cache.address}`, then `ip neigh`, in order-service's namespace.",
            (
                "A route to {redis-cache.address} leads by {order-service[redis-cache].unused},"
                " which nobody has."
            ),
        ),
        repair=("{order-service.enter} ip route del {redis-cache.address}/32",),
        explanation="A host route named a next hop that does not exist. ARP for it fails after"
        " three seconds: until then it is silence, then `No route to host`.",
        wrong=(
            (
                "ip address add {order-service[redis-cache].unused}/32"
                " dev {order-service[redis-cache].bridge}"
            ),
        ),
        refusal=".254/32",
        undo=("{order-service.enter} ip route del {redis-cache.address}/32 2>/dev/null || true",),
        restart="redis-cache",
    ),
    Drill(
        name="no-way-back",
        area="routes",
        level=3,
        symptom="Orders time out. The order service was restarted, and its own routes were read"
        " twice: they are right.",
        probes=(ORDERS,),
        put=(
            "{postgres-db.enter} ip route add blackhole {order-service[postgres-db].address}/32",
            FORGET_ORDERS,  # a connection that is translated comes from another address
        ),
        hints=(
            "The request arrives; watch it on the database's link. What about the answer?",
            "Ask the database's namespace for its way to the order service: `ip route get`.",
            "postgres-db has a blackhole route to {order-service[postgres-db].address}.",
        ),
        repair=(
            "{postgres-db.enter} ip route del blackhole {order-service[postgres-db].address}/32",
        ),
        explanation="A connection needs a way in each direction. The database's kernel got the"
        " SYN and had no way to answer it: the client saw silence, and all that it could"
        " look at was right.",
        wrong=(
            (
                "iptables -t nat -I POSTROUTING -s {order-service[postgres-db].address}"
                " -d {postgres-db.address} -j MASQUERADE"
            ),
        ),
        refusal="MASQUERADE",
        undo=(
            (
                "{postgres-db.enter} ip route del blackhole {order-service[postgres-db].address}/32"
                " 2>/dev/null || true"
            ),
        ),
        restart="redis-cache",
    ),
    Drill(
        name="policy-routing",
        area="routes",
        level=3,
        symptom="Carts fail at once. The order service's routing table is as it always was.",
        probes=(CART,),
        put=(
            f"{{order-service.enter}} ip route add unreachable default table {_TABLE}",
            "{order-service.enter} ip rule add to {redis-cache.address} lookup " + _TABLE,
        ),
        hints=(
            "`ip route` shows one table of several. Which is asked first?",
            "`ip rule`, and `ip route get {redis-cache.address}`, in order-service's namespace.",
            (
                f"A rule sends what goes to {{redis-cache.address}} to table {_TABLE}, where"
                " everything is unreachable."
            ),
        ),
        repair=(
            "{order-service.enter} ip rule del to {redis-cache.address} lookup " + _TABLE,
            f"{{order-service.enter}} ip route flush table {_TABLE}",
        ),
        explanation="Routing rules choose the table before the table chooses the route. `ip route`"
        " alone shows the main table, which was never asked.",
        wrong=("{order-service.enter} ip rule add pref 100 to {redis-cache.address} lookup main",),
        refusal="routing rule",
        undo=(
            (
                "while {order-service.enter} ip rule del to {redis-cache.address} lookup"
                f" {_TABLE} 2>/dev/null; do :; done"
            ),
            f"{{order-service.enter}} ip route flush table {_TABLE} 2>/dev/null || true",
        ),
        restart="redis-cache",
    ),
    Drill(
        name="no-forwarding",
        area="routes",
        level=2,
        symptom="The shop's pages are errors. Every service is well, and the gateway reaches"
        " nothing but nginx.",
        probes=(SHOP,),
        put=("sysctl -qw net.ipv4.conf.{api-gateway.bridge}.forwarding=0",),
        hints=(
            "What fails is what crosses from one tier to another. Who carries it across?",
            "A host forwards by a switch of each link: `sysctl -a | grep '\\.forwarding'`.",
            "net.ipv4.conf.{api-gateway.bridge}.forwarding is 0.",
        ),
        repair=("sysctl -qw net.ipv4.conf.{api-gateway.bridge}.forwarding=1",),
        explanation="The host is the router between the tiers. Forwarding is decided by the link"
        " that a packet comes in by; ip_forward was still 1, and that bridge's own switch was 0.",
        wrong=(
            "sysctl -qw net.ipv4.conf.{api-gateway.bridge}.forwarding=1",
            "iptables -I FORWARD -i {api-gateway.bridge} -j ACCEPT",
        ),
        refusal="can now reach",
        worlds=("net",),  # in Docker no tier is routed: a container has a link to each
        shapes=("tiered",),
        restart="product-service",
    ),
    Drill(
        name="wrong-bridge",
        area="routes",
        level=4,
        symptom="Every page is an error, though each service answers its neighbours. No rule has"
        " counted a drop.",
        probes=(SHOP,),
        put=(
            "ip route add {api-gateway.address}/32 dev {postgres-db.bridge}",
            "sysctl -qw net.ipv4.conf.{api-gateway.bridge}.rp_filter=1",
        ),
        hints=(
            "The gateway's packets reach the host and go no further: FORWARD is not asked.",
            (
                "`nstat -az TcpExtIPReversePathFilter`: the kernel asks for the way back to the"
                " source. `ip route get {api-gateway.address}` gives it."
            ),
            (
                "The host has a route to {api-gateway.address} by {postgres-db.bridge}, and"
                " {api-gateway.bridge} checks the reverse path."
            ),
        ),
        repair=(
            "ip route del {api-gateway.address}/32 dev {postgres-db.bridge}",
            f"sysctl -qw net.ipv4.conf.{{api-gateway.bridge}}.rp_filter={_OWN_RP_FILTER}",
        ),
        explanation="A host route led to the gateway by the wrong bridge. With rp_filter=1 the"
        " kernel drops what comes in by another link than it would be answered by, after"
        " PREROUTING and before FORWARD; without, the answer would go to the wrong bridge.",
        wrong=(
            f"ip route add {{api-gateway.address}}/32 dev {{api-gateway.bridge}} table {_TABLE}",
            f"ip rule add to {{api-gateway.address}} lookup {_TABLE}",
        ),
        refusal="routing rule",
        undo=(
            "ip route del {api-gateway.address}/32 dev {postgres-db.bridge} 2>/dev/null || true",
            f"sysctl -qw net.ipv4.conf.{{api-gateway.bridge}}.rp_filter={_OWN_RP_FILTER}",
        ),
        worlds=("net",),
        shapes=("tiered",),
        restart="product-service",
    ),
    Drill(
        name="path-mtu",
        area="MTU",
        level=4,
        symptom="The shop's first page never comes. Health checks are green everywhere, and small"
        " answers are fast.",
        probes=(PAGE,),
        put=(
            "ip link set dev {api-gateway.bridge} mtu 1280",
            _NEEDED,
            "{order-service.enter} ip route flush cache",  # what it has learned of paths
        ),
        hints=(
            "It depends on the size of an answer, and only between two tiers.",
            (
                "`ip -br -d link` shows each MTU of the path. A router that cannot pass a packet"
                " says so by ICMP: does that arrive?"
            ),
            (
                "{api-gateway.bridge} has an MTU of 1280, and a rule in OUTPUT drops ICMP's"
                " `fragmentation needed`."
            ),
        ),
        repair=("ip link set dev {api-gateway.bridge} mtu 1500", deleted(_NEEDED)),
        explanation="TCP sends full segments that may not be fragmented. Where the next link is"
        " smaller, the router must say so by ICMP, and the sender adapts. Dropping ICMP made a"
        " black hole: small answers pass, larger ones are sent again for ever.",
        wrong=(deleted(_NEEDED),),
        refusal="mtu",
        undo=("ip link set dev {api-gateway.bridge} mtu 1500", without(_NEEDED)),
        worlds=("net",),
        shapes=("tiered",),
        restart="product-service",
    ),
)
