"""Drills of links and bridges: ports, their switches, FDB entries, queueing."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import mac
from twinstack.drill.catalogue.probes import CART, ORDERS, PAGE, SHOP
from twinstack.drill.drill import Drill

_STORE_MAC = mac("postgres-db")
_STATIC = "dev {redis-cache.end} master static sticky"

DRILLS: tuple[Drill, ...] = (
    Drill(
        name="unplugged",
        area="links and bridges",
        level=1,
        symptom="Since the maintenance at noon a part of the shop times out. Every process runs,"
        " and nobody has changed a rule or a route.",
        probes=(SHOP, CART, ORDERS),
        put=("ip link set dev {target.end} down",),
        hints=(
            "What runs and is reached by nobody is cut off. Compare the one that is with the rest.",
            "`ip -br link` shows the state of each link, here and in each namespace.",
            "{target.end}, the host's end of {target.replica}'s link, is down.",
        ),
        repair=("ip link set dev {target.end} up",),
        explanation="The host's end of a veth pair was down, as if the cable were out. Inside, the"
        " link is still set up and has its address and routes; only NO-CARRIER tells.",
        wrong=(
            "ip link set dev {target.end} up",
            "ip link set dev {target.bridge} type bridge nf_call_iptables 0",
        ),
        refusal="nf_call_iptables",
        targets=("nginx-lb", "api-gateway", "order-service", "postgres-db"),
    ),
    Drill(
        name="bridge-down",
        area="links and bridges",
        level=1,
        symptom="The shop is gone. Nobody gets a page, from this host or any other.",
        probes=(SHOP,),
        put=("ip link set dev {api-gateway.bridge} down",),
        hints=(
            "When everything behind one thing fails at once, look at that thing first.",
            "`ip -br link` shows the state of each link, bridges too.",
            "{api-gateway.bridge} is DOWN.",
        ),
        repair=("ip link set dev {api-gateway.bridge} up",),
        explanation="A bridge that is down forwards nothing between its ports, and the host has no"
        " route to the network on it. The ports themselves stay up.",
        wrong=(
            "ip link set dev {api-gateway.bridge} up",
            "iptables -I FORWARD -i {api-gateway.bridge} -j ACCEPT",
        ),
        refusal="nginx-lb can now reach",
        restart="redis-cache",
    ),
    Drill(
        name="slow-link",
        area="links and bridges",
        level=2,
        symptom="Pages build up line by line. The monitor says that nginx answers at once.",
        probes=(SHOP,),
        put=("tc qdisc add dev {nginx-lb.end} root tbf rate 8kbit burst 1600 latency 800ms",),
        hints=(
            "Small answers are fast and large ones are slow: that is bandwidth, not distance.",
            "`tc -s qdisc` shows what waits before each link, and what was dropped there.",
            "A token bucket of 8 kbit/s is on {nginx-lb.end}.",
        ),
        repair=("tc qdisc del dev {nginx-lb.end} root",),
        explanation="A shaper was put on the host's end of nginx-lb's link. It holds back all that"
        " goes to nginx: the gateway's answers, one kilobyte a second.",
        wrong=("tc qdisc change dev {nginx-lb.end} root tbf rate 1gbit burst 64kb latency 50ms",),
        refusal="qdisc",
        undo=("tc qdisc del dev {nginx-lb.end} root 2>/dev/null || true",),
        tries=3,
        restart="api-gateway",
    ),
    Drill(
        name="isolated-ports",
        area="links and bridges",
        level=3,
        symptom="Customers see the catalogue, but no cart. The order service answers its own"
        " health check, and the gateway serves everything else.",
        probes=(CART,),
        put=(
            "bridge link set dev {api-gateway.end} isolated on",
            "bridge link set dev {order-service.end} isolated on",
        ),
        hints=(
            "Each of the two reaches all others, only not the other one. What is between them?",
            "`bridge -d link` shows the switches of each port.",
            "{api-gateway.end} and {order-service.end} are isolated.",
        ),
        repair=(
            "bridge link set dev {api-gateway.end} isolated off",
            "bridge link set dev {order-service.end} isolated off",
        ),
        explanation="Isolated ports of a bridge exchange no frames with one another, and all of"
        " them with the other ports: private VLANs in small. No rule and no counter tells.",
        wrong=("bridge link set dev {order-service.end} isolated off",),
        refusal="isolated",
        shapes=("flat",),
        restart="service-registry",
    ),
    Drill(
        name="misled-frames",
        area="links and bridges",
        level=4,
        symptom="Orders fail. The database's link, address and process are as they were, and"
        " ARP finds it.",
        probes=(ORDERS,),
        put=(f"bridge fdb replace {_STORE_MAC} {_STATIC}",),
        hints=(
            "The right MAC address is known, and yet no frame arrives. Who decides on the port?",
            "`bridge fdb show br {postgres-db.bridge}` says behind which port a MAC address is.",
            "A static, sticky entry leads postgres-db's MAC address to {redis-cache.end}.",
        ),
        repair=(f"bridge fdb del {_STORE_MAC} dev {{redis-cache.end}} master",),
        explanation="A bridge forwards by its forwarding database. A static entry sent"
        " frames for the database out of the port of redis-cache, which drops what is not for it;"
        " being sticky, it was not corrected by what the database itself sent.",
        wrong=(f"bridge fdb replace {_STORE_MAC} dev {{postgres-db.end}} master static sticky",),
        refusal="FDB entry",
        undo=(
            (
                f"for port in {{redis-cache.end}} {{postgres-db.end}}; do bridge fdb del"
                f" {_STORE_MAC} dev $port master 2>/dev/null || true; done"
            ),
        ),
        restart="postgres-db",
    ),
    Drill(
        name="short-bucket",
        area="links and bridges",
        level=4,
        symptom="Logins, health checks and small answers are fast. The shop's page never comes, at"
        " any time of the day.",
        probes=(PAGE,),
        put=(
            (
                "tc qdisc add dev {api-gateway[order-service].end}"
                " root tbf rate 1gbit burst 1300 latency 50ms"
            ),
        ),
        hints=(
            "It depends on the size of a packet, as with a path of too small an MTU.",
            "`tc -s qdisc` counts drops; `ss -ti` inside shows what is sent again and again.",
            (
                "The bucket on {api-gateway[order-service].end} holds 1300 bytes: no larger"
                " packet ever finds enough tokens."
            ),
        ),
        repair=("tc qdisc del dev {api-gateway[order-service].end} root",),
        explanation="A token bucket drops what is larger than the bucket, at any rate. The"
        " handshake and small answers pass; each full segment of the page is lost, and lost"
        " again. It looks like a black hole of the path MTU, with every MTU at 1500.",
        wrong=(
            (
                "tc qdisc change dev {api-gateway[order-service].end}"
                " root tbf rate 1gbit burst 64kb latency 50ms"
            ),
        ),
        refusal="qdisc",
        undo=("tc qdisc del dev {api-gateway[order-service].end} root 2>/dev/null || true",),
        restart="product-service",
    ),
)
