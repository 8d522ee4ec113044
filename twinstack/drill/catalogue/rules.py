"""Drills of iptables: rules that drop, where they stand, and in which order."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import FORGET_ORDERS, deleted, without
from twinstack.drill.catalogue.probes import CART, ORDERS, SHOP
from twinstack.drill.drill import Drill

_DATABASE = "iptables -I FORWARD -d {postgres-db.address}"
_FREEZE = f"{_DATABASE} -m comment --comment 'change freeze' -j DROP"
_CACHE = "iptables -I FORWARD -p tcp -d {redis-cache.address}"
_RESET = f"{_CACHE} -m comment --comment 'cache moves on Sunday' -j REJECT --reject-with tcp-reset"
_INSIDE = (
    "{postgres-db.enter} iptables -I INPUT -p tcp --dport {postgres-db.port}"
    " -m comment --comment hardening -j DROP"
)
_FLOW = (
    "-s {order-service[postgres-db].address}/32 -m comment --comment"
    ' "twinstack:{instance} order-service to postgres-db" -j ACCEPT'
)
_BACKUP = (
    f"{_DATABASE} -p tcp --dport {{postgres-db.port}} -m comment --comment 'backups may' -j ACCEPT"
)
_NOBODY = (
    f"{_DATABASE} -p tcp --dport {{postgres-db.port}} -m comment --comment 'nobody else may'"
    " -j DROP"
)
_EARLY = (
    "iptables -t raw -I PREROUTING -s {order-service[postgres-db].address}"
    " -d {postgres-db.address} -m comment --comment 'noisy client' -j DROP"
)
_THIRD = (
    "{nginx-lb.enter} iptables -I INPUT ! -i lo -p tcp --syn --dport {nginx-lb.port}"
    " -m statistic --mode nth --every"
)
_REFUSED = "--packet 0 -j REJECT --reject-with tcp-reset"

DRILLS: tuple[Drill, ...] = (
    Drill(
        name="change-freeze",
        area="iptables",
        level=1,
        symptom="Orders fail since the change freeze began. Nobody has changed anything, of"
        " course.",
        probes=(ORDERS,),
        put=(_FREEZE,),
        hints=(
            "Packets leave the order service and do not arrive at the database. What is between?",
            "`iptables -vnL FORWARD`: which rule counts packets while you try?",
            "The first rule of FORWARD drops all that goes to {postgres-db.address}.",
        ),
        repair=(deleted(_FREEZE),),
        explanation="The first rule that matches decides. A DROP stood in FORWARD before the jump"
        " into the chains that permit the flows.",
        wrong=(f"{_DATABASE} -j ACCEPT",),
        refusal="can now reach postgres-db:5432",
        undo=(without(_FREEZE),),
        restart="postgres-db",
    ),
    Drill(
        name="false-refusal",
        area="iptables",
        level=2,
        symptom="Carts fail at once: connection refused. Redis was restarted twice already.",
        probes=(CART,),
        put=(_RESET,),
        hints=(
            "A refusal is a packet. Who sent it: Redis's kernel, or somebody on the way?",
            "Ask Redis from its own namespace; then `iptables -vnL FORWARD`.",
            "A rule in FORWARD rejects what goes to {redis-cache.address} with a TCP reset.",
        ),
        repair=(deleted(_RESET),),
        explanation="REJECT with tcp-reset looks exactly like a port without a listener. The"
        " listener was there; the packet never came so far.",
        wrong=(f"{_CACHE} --dport {{redis-cache.port}} -j ACCEPT",),
        refusal="can now reach redis-cache:6379",
        undo=(without(_RESET),),
        restart="redis-cache",
    ),
    Drill(
        name="hardened-inside",
        area="iptables",
        level=1,
        symptom="Orders time out since the database was hardened. The host's firewall is as it"
        " was.",
        probes=(ORDERS,),
        put=(_INSIDE,),
        hints=(
            "The host forwards the packets, and they arrive. Where do they end?",
            "Each network namespace has tables of its own: look into the database's.",
            "INPUT in the namespace of postgres-db drops its port.",
        ),
        repair=(deleted(_INSIDE),),
        explanation="Rules are kept for each network namespace. The host's tables were in order;"
        " the one that dropped was in the database's own.",
        wrong=("{postgres-db.enter} iptables -I INPUT -j ACCEPT",),
        refusal="INPUT",
        undo=(without(_INSIDE),),
        restart="redis-cache",
    ),
    Drill(
        name="lost-flow",
        area="iptables",
        level=2,
        symptom="Orders time out. The product service uses the same database without trouble.",
        probes=(ORDERS,),
        put=(
            f"iptables -D {{postgres-db.askers}} {_FLOW}",
            FORGET_ORDERS,
        ),
        hints=(
            "What is not declared is denied. Is what is declared there?",
            "`invoke policy.drops` names denied packets; `invoke policy.verify` compares rules.",
            "{postgres-db.askers} has no rule for order-service.",
        ),
        repair=(f"iptables -A {{postgres-db.askers}} {_FLOW}",),
        explanation="The rule of one flow was gone, so the order service was denied like any"
        " stranger. Connections that were open would have stayed: only their conntrack entries"
        " let them pass.",
        wrong=("iptables -I FORWARD -s {order-service[postgres-db].address} -j ACCEPT",),
        refusal="order-service can now reach",
        undo=(
            (
                f"iptables -C {{postgres-db.askers}} {_FLOW} 2>/dev/null ||"
                f" iptables -A {{postgres-db.askers}} {_FLOW}"
            ),
        ),
        restart="postgres-db",
    ),
    Drill(
        name="order-of-rules",
        area="iptables",
        level=3,
        symptom="Since the rule for the nightly backup was added, orders fail. The rule accepts;"
        " it drops nothing.",
        probes=(ORDERS,),
        put=(_BACKUP, _NOBODY),
        hints=(
            "There are two new rules, not one. Which is asked first?",
            "`iptables -vnL FORWARD --line-numbers`, and the counters of both.",
            "`nobody else may` stands before `backups may`. Is either of them needed?",
        ),
        repair=(deleted(_BACKUP), deleted(_NOBODY)),
        explanation="The two were written in the wrong order, so all were dropped. To swap them"
        " ends that, and is worse: the ACCEPT names no source, and lets everybody at the database."
        " The declared flows deny the rest already, so neither rule is needed.",
        wrong=(deleted(_NOBODY),),
        refusal="can now reach postgres-db:5432",
        undo=(without(_BACKUP), without(_NOBODY)),
        restart="postgres-db",
    ),
    Drill(
        name="early-drop",
        area="iptables",
        level=3,
        symptom="Orders time out. All rules of FORWARD, INPUT and OUTPUT were read twice: the"
        " packets are in none of the counters.",
        probes=(ORDERS,),
        put=(_EARLY,),
        hints=(
            "`iptables -L` shows one table of five. In which order are they asked?",
            "`iptables -t raw -vnL` and `iptables -t mangle -vnL`.",
            "raw PREROUTING drops what {order-service[postgres-db].address} sends to the database.",
        ),
        repair=(deleted(_EARLY),),
        explanation="Table raw is asked before connection tracking, routing and every filter. What"
        " it drops leaves no trace in the others.",
        wrong=("iptables -t raw -I PREROUTING -s {order-service[postgres-db].address} -j ACCEPT",),
        refusal="PREROUTING",
        undo=(without(_EARLY),),
        restart="postgres-db",
    ),
    Drill(
        name="every-third",
        area="iptables",
        level=2,
        symptom="Every third visit of the shop ends with a reset connection, the others are fine.",
        probes=(SHOP,),
        put=(f"{_THIRD} 3 {_REFUSED}",),
        hints=(
            "There is one nginx: it is no bad replica. Something counts.",
            "Counting is a match of iptables: look for `statistic`, in each namespace of the path.",
            "INPUT in the namespace of nginx-lb rejects every third new connection.",
        ),
        repair=(deleted(f"{_THIRD} 3 {_REFUSED}"),),
        explanation="A rule with the match `statistic` rejected one new connection of three. It"
        " looked like one bad replica of three, which balancing would have brought about too.",
        wrong=(deleted(f"{_THIRD} 3 {_REFUSED}"), f"{_THIRD} 3000 {_REFUSED}"),
        refusal="statistic",
        undo=(without(f"{_THIRD} 3 {_REFUSED}"),),
        tries=6,
        restart="product-service",
    ),
)
