"""Commands that several drills share, in words of `site`."""

from __future__ import annotations

#: Forgets how the order service's connections to the database are tracked: they are judged again.
FORGET_ORDERS = (
    "conntrack -D -s {order-service[postgres-db].address} -d {postgres-db.address}"
    " >/dev/null 2>&1 || true"
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
