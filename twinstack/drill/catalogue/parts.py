"""What several drills are made of: probes that change nothing in the shop, and common commands."""

from __future__ import annotations

_POST = "curl -s -m 5 -X POST -H 'Content-Type: application/json' -d"

#: An order of what is never in stock: it goes all the way to PostgreSQL, and changes nothing.
ORDER = (
    f'{_POST} \'{{{{"items":[{{{{"product_id":24,"quantity":1000}}}}]}}}}\''
    " {url}/api/orders | grep -q insufficient_stock"
)
PRODUCTS = "curl -sf -m 5 -o /dev/null {url}/api/products"
#: Something put into a new session's cart, in Redis; it is forgotten after an hour.
CART = f'{_POST} \'{{{{"product_id":1,"quantity":1}}}}\' {{url}}/api/cart | grep -q product_id'


def edited(file: str, script: str) -> str:
    """Write the command that edits a file in place: a bind mount keeps one that is replaced."""
    return f"text=$(sed '{script}' {file}) && printf '%s\\n' \"$text\" > {file}"


def reconnected(service: str) -> str:
    """Write the command that ends a service's connections to PostgreSQL, so that it makes new."""
    return (
        "for p in $(cat {postgres-db.cgroup}/cgroup.procs); do"
        f" grep -q '^postgres: {service} ' /proc/$p/cmdline && kill $p; done; true"
    )


def inside(replica: str, command: str) -> str:
    """Write the command that runs another where a replica is: of a file, umount needs its /proc."""
    return f"nsenter --target {{{replica}.pid}} --mount --pid {command}"
