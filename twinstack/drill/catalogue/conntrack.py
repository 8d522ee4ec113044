"""Drills of connection tracking: entries, zones, what is not tracked, and limits that count it."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import deleted, without
from twinstack.drill.catalogue.probes import CART, ORDERS, held
from twinstack.drill.drill import Drill

_UNTRACKED = (
    "iptables -t raw -I PREROUTING -p tcp -s {redis-cache.address} --sport {redis-cache.port}"
    " -m comment --comment 'the cache is fast' -j CT --notrack"
)
_ZONE = (
    "iptables -t raw -I PREROUTING -p tcp -s {postgres-db.address} --sport {postgres-db.port}"
    " -m comment --comment 'tenant 7' -j CT --zone 7"
)
_LIMIT = (
    "{nginx-lb.enter} iptables -I INPUT ! -i lo -p tcp --syn --dport {nginx-lb.port}"
    " -m connlimit --connlimit-mask 0 --connlimit-above"
)
_PORTS = "$(seq 40100 40119)"
_STALE = (
    "conntrack -I -p tcp -s 127.0.0.1 -d 127.0.0.1 --sport $port --dport {nginx-lb.published}"
    " --dst-nat {nginx-lb.unused}:{nginx-lb.port} --src-nat {nginx-lb.gateway}"
    " --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 86400"
)
_FORGET = (
    "conntrack -D -p tcp --orig-port-dst {nginx-lb.published} --reply-src {nginx-lb.unused}"
    " >/dev/null 2>&1 || true"
)

DRILLS: tuple[Drill, ...] = (
    Drill(
        name="untracked",
        area="conntrack",
        level=3,
        symptom="Carts time out since the firewall was tuned. Redis gets the requests, and"
        " answers.",
        probes=(CART,),
        put=(_UNTRACKED,),
        hints=(
            "The answer leaves Redis and is denied on the way. By what would it be let through?",
            "Answers pass as ESTABLISHED. `conntrack -L -d {redis-cache.address}` says UNREPLIED.",
            "A rule in raw PREROUTING keeps what Redis sends out of connection tracking.",
        ),
        repair=(deleted(_UNTRACKED),),
        explanation="Who may ask is decided by rules, and that answers pass by connection"
        " tracking. Untracked, an answer is nobody's: no rule lets Redis open a connection, so it"
        " was denied.",
        wrong=("iptables -I FORWARD -s {redis-cache.address} -j ACCEPT",),
        refusal="redis-cache can now reach",
        undo=(without(_UNTRACKED),),
        restart="redis-cache",
    ),
    Drill(
        name="other-zone",
        area="conntrack",
        level=4,
        symptom="Orders time out. The database answers, no rule keeps its answers out of"
        " connection tracking, and they are denied.",
        probes=(ORDERS,),
        put=(_ZONE,),
        hints=(
            "An answer passes if it belongs to an entry. Does the kernel look in the right place?",
            (
                "`conntrack -L -d {postgres-db.address}` says UNREPLIED, though an answer came."
                " What tells the kernel where to look for it comes before tracking: table raw."
            ),
            "A rule in raw PREROUTING puts what the database sends into zone 7.",
        ),
        repair=(deleted(_ZONE),),
        explanation="A conntrack zone is a table of its own. The request made its entry in zone 0;"
        " the answer was looked for in zone 7, not found, and taken for invalid.",
        wrong=("iptables -I FORWARD -s {postgres-db.address} -j ACCEPT",),
        refusal="postgres-db can now reach",
        undo=(without(_ZONE),),
        restart="postgres-db",
    ),
    Drill(
        name="full-table",
        area="conntrack",
        level=3,
        symptom="At lunch time some visitors wait for ever, others are served. Later all is well.",
        probes=(held(4),),
        put=(f"{_LIMIT} 3 -j DROP",),
        hints=(
            "It depends on how many come at once, not on what they ask for.",
            (
                "Something counts connections. Look for `connlimit`, and at `conntrack -L` in the"
                " namespaces on the path."
            ),
            "INPUT in the namespace of nginx-lb drops a new connection while three are open.",
        ),
        repair=(deleted(f"{_LIMIT} 3 -j DROP"),),
        explanation="connlimit counts the tracked connections: a table that is full at three. A"
        " client's SYN was dropped and sent again after 1, 3 and 7 seconds, so it saw slowness"
        " and no error.",
        wrong=(deleted(f"{_LIMIT} 3 -j DROP"), f"{_LIMIT} 300 -j DROP"),
        refusal="connlimit",
        undo=(without(f"{_LIMIT} 3 -j DROP"),),
        restart="api-gateway",
    ),
    Drill(
        name="stale-entry",
        area="conntrack",
        level=4,
        symptom="The monitor on this host, which asks from ports of its own (40100 to 40119), says"
        " that the shop is down. Everybody else sees it.",
        probes=("curl -fsS -0 -m 3 -o /dev/null --local-port 40100-40119 {url}/health",),
        put=(
            (
                f"for port in {_PORTS}; do conntrack -D -p tcp -s 127.0.0.1 --sport $port"
                f" >/dev/null 2>&1; {_STALE} >/dev/null || exit 1; done"
            ),
        ),
        hints=(
            "The same URL, the same host; only the source port differs. Who remembers ports?",
            (
                "`conntrack -L -p tcp --orig-port-dst {nginx-lb.published}`: to where is the"
                " monitor's connection translated?"
            ),
            (
                "Entries for ports 40100 to 40119 lead to {nginx-lb.unused}, which is gone;"
                " they last a day."
            ),
        ),
        repair=(_FORGET,),
        explanation="Rules of table nat are asked for the first packet of a connection only; the"
        " rest follows the entry. Entries to an address that is gone were still there, so a"
        " client that uses the same port again went to where nobody is. (Docker's proxy makes a"
        " connection of its own for each client, and hides it.)",
        wrong=(
            (
                "{nginx-lb.enter} ip address add {nginx-lb.unused}/{nginx-lb.prefix}"
                " dev {nginx-lb.link}"
            ),
        ),
        refusal=".254/24",
        worlds=("net",),
        restart="nginx-lb",
    ),
)
