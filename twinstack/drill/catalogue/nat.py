"""Drills of address translation: the published port, its helpers, and what comes before them."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import deleted, without
from twinstack.drill.catalogue.probes import SHOP, held
from twinstack.drill.drill import Drill

_LOCAL = (
    "iptables -t nat -I OUTPUT -p tcp -m addrtype --dst-type LOCAL"
    " -m tcp --dport {nginx-lb.published}"
)
_MOVED = (
    f"{_LOCAL} -m comment --comment 'new front end'"
    " -j DNAT --to-destination {nginx-lb.address}:8081"
)
_CLOSED = f"{_LOCAL} -m comment --comment 'closed for maintenance' -j ACCEPT"
_ANOTHER = f"{_LOCAL} -j DNAT --to-destination {{nginx-lb.address}}:{{nginx-lb.port}}"
_TO_NGINX = "iptables -t nat -I POSTROUTING -d {nginx-lb.address} -p tcp --dport {nginx-lb.port}"
_ONE_PORT = f"{_TO_NGINX} -m comment --comment 'one source for the audit' -j MASQUERADE --to-ports"

DRILLS: tuple[Drill, ...] = (
    Drill(
        name="closed-port",
        area="NAT",
        level=1,
        symptom="On this host `curl localhost` is refused at the shop's port. Other machines see"
        " the shop.",
        probes=(SHOP,),
        put=(_CLOSED,),
        hints=(
            "Refused means: no listener there. Was there ever one, or does a rule lead elsewhere?",
            "`iptables -t nat -vnL OUTPUT`, in order: the first rule that matches decides.",
            "A rule in nat OUTPUT accepts port {nginx-lb.published} before it is translated.",
        ),
        repair=(deleted(_CLOSED),),
        explanation="The published port has no listener on the host: a rule of nat OUTPUT leads"
        " local clients to nginx-lb. ACCEPT in a nat chain ends it, so the packet went to the"
        " host's own port. (In Docker a proxy listens there, and the same rule changes nothing.)",
        wrong=(_ANOTHER,),
        refusal="DNAT",
        undo=(without(_CLOSED),),
        worlds=("net",),
        restart="nginx-lb",
    ),
    Drill(
        name="wrong-dnat",
        area="NAT",
        level=2,
        symptom="From this host the shop does not answer at its published port. At nginx's own"
        " address it does.",
        probes=(SHOP,),
        put=(_MOVED,),
        hints=(
            "The same nginx, two ways to it, one of them works. What is on the other alone?",
            (
                "`iptables -t nat -S`, or `conntrack -L -p tcp --orig-port-dst"
                " {nginx-lb.published}`: to which port is it translated?"
            ),
            "The first rule of nat OUTPUT leads to port 8081 of nginx-lb.",
        ),
        repair=(deleted(_MOVED),),
        explanation="The rule of a migration that never came stood before the one that counts: it"
        " translated to a port where nobody listens, and which no flow permits.",
        wrong=(
            _ANOTHER,
            "sysctl -qw net.ipv4.conf.{nginx-lb.bridge}.route_localnet=1",
            "iptables -t nat -I POSTROUTING -s 127.0.0.0/8 -d {nginx-lb.address} -j MASQUERADE",
        ),
        refusal="DNAT",
        undo=(without(_MOVED),),
        restart="nginx-lb",
    ),
    Drill(
        name="route-localnet",
        area="NAT",
        level=3,
        symptom="localhost:{nginx-lb.published} hangs on this host. By any other address of the"
        " host, and from other machines, the shop is there.",
        probes=(SHOP,),
        put=("sysctl -qw net.ipv4.conf.{nginx-lb.bridge}.route_localnet=0",),
        hints=(
            "Only 127.0.0.1 fails. What is special about that address, once it is translated?",
            (
                "The kernel sends nothing from 127.0.0.0/8 into a link that is not lo, unless that"
                " link permits it."
            ),
            "net.ipv4.conf.{nginx-lb.bridge}.route_localnet is 0.",
        ),
        repair=("sysctl -qw net.ipv4.conf.{nginx-lb.bridge}.route_localnet=1",),
        explanation="DNAT in OUTPUT turns 127.0.0.1 to 127.0.0.1 into 127.0.0.1 to nginx-lb. To"
        " route that, the bridge needs route_localnet. Docker answers localhost by a proxy, and"
        " so hides the question.",
        wrong=("sysctl -qw net.ipv4.conf.all.route_localnet=1",),
        refusal="route_localnet",
        undo=(
            "sysctl -qw net.ipv4.conf.{nginx-lb.bridge}.route_localnet=1",
            "sysctl -qw net.ipv4.conf.all.route_localnet=0",
        ),
        worlds=("net",),
        restart="nginx-lb",
    ),
    Drill(
        name="one-source-port",
        area="NAT",
        level=4,
        symptom="One visitor at a time is served. While a large page is under way, everybody else"
        " waits.",
        probes=(held(1),),
        put=(f"{_ONE_PORT} 61000",),
        hints=(
            "Two connections at once are one too many. What must differ between two of them?",
            "`conntrack -L -p tcp -d {nginx-lb.address}`, and `conntrack -S`: insert_failed.",
            "A rule of nat POSTROUTING gives each client of nginx-lb the source port 61000.",
        ),
        repair=(deleted(f"{_ONE_PORT} 61000"),),
        explanation="A masqueraded connection is known by its new source address and port. With a"
        " single port to give, the second connection would be the same as the first, so its packet"
        " is dropped: port exhaustion of NAT, as behind a large office, in small.",
        wrong=(deleted(f"{_ONE_PORT} 61000"), f"{_ONE_PORT} 61000-61999"),
        refusal="MASQUERADE",
        undo=(without(f"{_ONE_PORT} 61000"),),
        restart="nginx-lb",
    ),
)
