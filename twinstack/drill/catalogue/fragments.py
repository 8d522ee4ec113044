"""Shell that several network drills share: what a client does, and how a rule is taken out.

Each is written in words of `site`, so braces of the shell's own are doubled.
"""

from __future__ import annotations

#: A visitor of the shop, by the published port.
SHOP = "curl -fsS -m 3 -o /dev/null {url}/api/products"
#: The same, by the pages for people: one is several packets long.
PAGE = "curl -fsS -m 3 -o /dev/null {url}/"
#: A visitor with a cart: it is looked at twice, in one session.
CART = (
    'session=$(curl -fsS -m 3 {url}/api/cart | grep -o \'"session": *"[^"]*"\' | cut -d\'"\' -f4)'
    ' && curl -fsS -m 3 -o /dev/null -H "X-Session-ID: $session" {url}/api/cart'
)
#: The operator's own look at the order service, from inside: it asks the database.
ORDERS = (
    "{order-service.enter} curl -fsS -m 3 -o /dev/null http://127.0.0.1:{order-service.port}/health"
)

#: Forgets how the order service's connections to the database are tracked: they are judged again.
FORGET_ORDERS = (
    "conntrack -D -s {order-service[postgres-db].address} -d {postgres-db.address}"
    " >/dev/null 2>&1 || true"
)


def held(count: int) -> str:
    """Give a visit of the shop while so many others hold a connection to it and say nothing."""
    visitor = "sleep 3 | curl -s -m 4 -o /dev/null telnet://127.0.0.1:{nginx-lb.published} &"
    return (
        f"for n in $(seq {count}); do {visitor} done; sleep 0.5; {SHOP}; code=$?; wait; exit $code"
    )


def deleted(rule: str) -> str:
    """Give the command that takes out what `iptables … -I …` has put."""
    return rule.replace(" -I ", " -D ", 1)


def without(rule: str) -> str:
    """Give the command that takes it out as often as it is there, also not at all."""
    return f"while {deleted(rule)} 2>/dev/null; do :; done"


def mac(place: str) -> str:
    """Write what gives the MAC address of a place's link."""
    look = f"{{{place}.enter}} ip -br link show dev {{{place}.link}}"
    return f"$({look} | awk '{{{{print $3}}}}')"
