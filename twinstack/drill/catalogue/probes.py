"""What drills try: commands that fail while the fault is there, and leave nothing that stays.

Each is written in words of `site`, so braces of the shell's own are doubled.
"""

from __future__ import annotations

_POST = "curl -s -m 5 -X POST -H 'Content-Type: application/json' -d"

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
#: An order of what is never in stock: it goes all the way to PostgreSQL, and changes nothing.
ORDER = (
    f'{_POST} \'{{{{"items":[{{{{"product_id":24,"quantity":1000}}}}]}}}}\''
    " {url}/api/orders | grep -q insufficient_stock"
)
#: Something put into a new session's cart, in Redis; it is forgotten after an hour.
FILLED_CART = (
    f'{_POST} \'{{{{"product_id":1,"quantity":1}}}}\' {{url}}/api/cart | grep -q product_id'
)


def held(count: int) -> str:
    """Give a visit of the shop while so many others hold a connection to it and say nothing."""
    visitor = "sleep 3 | curl -s -m 4 -o /dev/null telnet://127.0.0.1:{nginx-lb.published} &"
    return (
        f"for n in $(seq {count}); do {visitor} done; sleep 0.5; {SHOP}; code=$?; wait; exit $code"
    )
