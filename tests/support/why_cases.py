"""Causes that are planted in a running world for `why` to find: the same ones in either world.

Each is put by commands on the host, or inside a replica's network namespace, and taken away again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from tests.support.why_ground import Ground
from twinstack.drill.choose import find
from twinstack.drill.site import Site
from twinstack.model.plan import HOST

ORDER, POSTGRES, REDIS, NGINX = "order-service", "postgres-db", "redis-cache", "nginx-lb"
GATEWAY, PRODUCT = "api-gateway", "product-service"
_NOBODY = "02:00:00:00:00:99"


@dataclass(frozen=True)
class Planted:
    """One cause."""

    cause: str  # as why must name it
    ends: tuple[str, str]
    plant: Callable[[], object]
    undo: Callable[[], object] = field(default=lambda: None)
    stops: str = ""  # the place that the answer must mark; "": any
    passes_after: bool = True


def drilled(ground: Ground, drill: str, cause: str, ends: tuple[str, str]) -> Planted:
    """Plant what a drill does, by its own commands."""
    site, found = Site(ground.world), find(drill)
    put, undo = (
        "; ".join(map(site.written, commands))
        for commands in (found.put, found.undo or found.repair)
    )
    return Planted(cause, ends, partial(ground.shell, put), partial(ground.shell, undo))


def planted(ground: Ground) -> Iterator[Planted]:
    """List the causes that any shape of either world can have."""
    g, sh = ground, ground.shell
    to_store = (ORDER, POSTGRES)

    def by(plant: str, undo: str) -> tuple[Callable[[], object], Callable[[], object]]:
        return partial(sh, plant), partial(sh, undo)

    order, store = g.enter(ORDER), g.enter(POSTGRES)
    mine, theirs = g.inside(ORDER, POSTGRES), g.inside(POSTGRES)
    address, own = g.address(POSTGRES), g.address(ORDER, POSTGRES)
    unused = _unused(g.gateway(ORDER, POSTGRES))

    def with_routes(enter: str, command: str) -> str:
        """Give a command that loses routes, with those put back as they are now."""
        return f"{enter} ip route save table main > /tmp/ts-why-routes; {command}"

    def restored(enter: str, command: str) -> str:
        return f"{command}; {enter} ip route restore < /tmp/ts-why-routes 2>/dev/null; true"

    for enter, link, name in ((order, mine, ORDER), (store, theirs, POSTGRES)):
        yield Planted(
            "link-down",
            to_store,
            *by(
                with_routes(enter, f"{enter} ip link set {link} down"),
                restored(enter, f"{enter} ip link set {link} up"),
            ),
            f"{name}/{link}",
        )
    for name in to_store:
        end = g.end(name, POSTGRES)
        yield Planted(
            "host-end-down",
            to_store,
            *by(f"ip link set {end} down", f"ip link set {end} up"),
            end,
        )
        yield Planted(
            "not-on-bridge",
            to_store,
            *by(
                f"ip link set {end} nomaster",
                f"ip link set {end} master {g.bridge(name, POSTGRES)}",
            ),
            end,
        )
    end = g.end(POSTGRES)
    yield Planted(
        "port-state",
        to_store,
        *by(f"bridge link set dev {end} state 0", f"bridge link set dev {end} state 3"),
        end,
    )
    prefix = 24
    yield Planted(
        "source-address",
        to_store,
        *by(
            with_routes(order, f"{order} ip addr del {own}/{prefix} dev {mine}"),
            restored(order, f"{order} ip addr add {own}/{prefix} dev {mine}"),
        ),
        ORDER,
    )
    yield Planted(
        "address-missing",
        to_store,
        *by(
            with_routes(store, f"{store} ip addr del {address}/{prefix} dev {theirs}"),
            restored(store, f"{store} ip addr add {address}/{prefix} dev {theirs}"),
        ),
        f"{POSTGRES}/{theirs}",
    )
    for kind in ("blackhole", "unreachable", "prohibit"):
        yield Planted(
            f"route-{kind}",
            to_store,
            *by(
                f"{order} ip route add {kind} {address}/32",
                f"{order} ip route del {kind} {address}/32",
            ),
            ORDER,
        )
    yield Planted(
        "wrong-route",
        to_store,
        *by(
            f"{order} ip route add {address}/32 via {unused} dev {mine}",
            f"{order} ip route del {address}/32",
        ),
        ORDER,
    )
    for drill, cause in (
        ("no-way-back", "no-way-back"),
        ("hardened-inside", "destination-rule"),
        ("lost-flow", "rule-missing"),
        ("change-freeze", "foreign-rule"),
        ("early-drop", "foreign-rule"),
    ):
        yield drilled(g, drill, cause, to_store)
    for cause, enter, chain, match in (
        ("source-rule", order, "OUTPUT", f"-d {address}"),
        ("destination-rule", store, "OUTPUT", "-p tcp --sport 5432"),
    ):
        yield Planted(
            cause,
            to_store,
            *by(
                f"{enter} iptables -I {chain} {match} -j DROP",
                f"{enter} iptables -D {chain} {match} -j DROP",
            ),
        )
    yield Planted(
        "arp-off",
        to_store,
        *by(
            f"{store} ip link set {theirs} arp off; {order} ip neigh flush all; ip neigh flush all",
            f"{store} ip link set {theirs} arp on",
        ),
    )
    yield Planted("no-flow", (NGINX, REDIS), partial(sh, "true"), passes_after=False)
    yield Planted("no-flow", (ORDER, "host:22"), partial(sh, "true"), passes_after=False)
    for table, chain, match in (
        ("filter", "FORWARD", f"-p tcp -d {address} -j REJECT --reject-with tcp-reset"),
        ("mangle", "FORWARD", f"-s {own} -j DROP"),
    ):
        rule = f"{chain} {match}"
        yield Planted(
            "foreign-rule",
            to_store,
            *by(f"iptables -t {table} -I {rule}", f"iptables -t {table} -D {rule}"),
        )
    rule = f"FORWARD -p tcp -s {address} --sport 5432 -j DROP"
    yield Planted("answer-denied", to_store, *by(f"iptables -I {rule}", f"iptables -D {rule}"))
    yield Planted(
        "queueing",
        to_store,
        *by(
            f"tc qdisc add dev {end} root tbf rate 8kbit burst 10 latency 1ms",
            f"tc qdisc del dev {end} root",
        ),
        end,
    )
    yield Planted(
        "not-running",
        (ORDER, REDIS),
        partial(g.world.stop, REDIS),
        partial(g.world.start, REDIS),
    )
    for source, name in ((ORDER, REDIS), (GATEWAY, PRODUCT)):
        yield Planted(
            "suspended",
            (source, name),
            partial(g.kill, name, signal.SIGSTOP),
            partial(g.kill, name, signal.SIGCONT),
        )
    yield Planted(
        "unwell",
        (GATEWAY, ORDER),
        partial(g.world.stop, POSTGRES),
        partial(g.world.start, POSTGRES),
    )


def planted_flat(ground: Ground) -> Iterator[Planted]:
    """List those of ends that are neighbours on one bridge."""
    g, sh = ground, ground.shell
    to_store = (ORDER, POSTGRES)
    order, mine, address = g.enter(ORDER), g.inside(ORDER, POSTGRES), g.address(POSTGRES)
    bridge_down = drilled(g, "bridge-down", "bridge-down", to_store)
    yield replace(bridge_down, stops=g.bridge(ORDER, POSTGRES))
    yield drilled(g, "isolated-ports", "isolated-ports", (GATEWAY, ORDER))
    yield Planted(
        "wrong-neighbour",
        to_store,
        partial(
            sh, f"{order} ip neigh replace {address} lladdr {_NOBODY} dev {mine} nud permanent"
        ),
        partial(sh, f"{order} ip neigh del {address} dev {mine}"),
        ORDER,
    )


def planted_published(ground: Ground) -> Iterator[Planted]:
    """List those of the namespace world's published port."""
    g, sh = ground, ground.shell
    ends = (HOST, "localhost:8080")
    save = "/tmp/ts-why-nat"
    yield Planted(
        "not-published",
        ends,
        partial(
            sh,
            f"iptables-save -t nat > {save};"
            " iptables -t nat -S | grep -e '-OUTPUT .*DNAT' | sed 's/^-A/iptables -t nat -D/' | sh",
        ),
        partial(sh, f"iptables-restore < {save}; rm {save}"),
    )
    yield Planted(
        "wrong-dnat",
        ends,
        partial(
            sh,
            f"iptables-save -t nat > {save}; sed 's/{g.address(NGINX)}:80/{g.address(NGINX)}:81/'"
            f" {save} | iptables-restore",
        ),
        partial(sh, f"iptables-restore < {save}; rm {save}"),
    )
    yield drilled(g, "route-localnet", "route-localnet", ends)


def planted_tiered(ground: Ground) -> Iterator[Planted]:
    """List those of ends that the host routes between."""
    g, sh = ground, ground.shell
    ends = (GATEWAY, PRODUCT)
    near, far = g.bridge(GATEWAY), g.bridge(PRODUCT)
    other = g.bridge(POSTGRES)
    gateway, product = g.enter(GATEWAY), g.enter(PRODUCT)
    server = g.address(PRODUCT)

    def by(plant: str, undo: str) -> tuple[Callable[[], object], Callable[[], object]]:
        return partial(sh, plant), partial(sh, undo)

    yield drilled(g, "no-forwarding", "forwarding-off", ends)
    yield drilled(g, "wrong-bridge", "reverse-path", ends)
    own = f"{g.gateway(GATEWAY)}/24 dev {near}"
    yield Planted(
        "gateway-missing",
        ends,
        *by(f"ip addr del {own}; {gateway} ip neigh flush all", f"ip addr add {own}"),
        near,
    )
    yield Planted(
        "host-route",
        ends,
        *by(f"ip route add {server}/32 dev {other}", f"ip route del {server}/32 dev {other}"),
    )
    back = f"default via {g.gateway(PRODUCT)}"
    yield Planted(
        "no-way-back",
        ends,
        *by(f"{product} ip route del {back}", f"{product} ip route add {back} proto static"),
    )
    way = f"default via {g.gateway(GATEWAY)}"
    yield Planted(
        "no-route",
        ends,
        *by(f"{gateway} ip route del {way}", f"{gateway} ip route add {way} proto static"),
    )
    entry = f"{server} dev {far}"
    yield Planted(
        "wrong-neighbour",
        ends,
        *by(
            f"ip neigh replace {server} lladdr {_NOBODY} dev {far} nud permanent",
            f"ip neigh del {entry}",
        ),
    )
    yield Planted("bridge-down", ends, *by(f"ip link set {far} down", f"ip link set {far} up"), far)


def _unused(gateway: str) -> str:
    """Give an address of the gateway's subnet that nobody has."""
    return f"{gateway.rpartition('.')[0]}.250"


def tried(ground: Ground, cases: Iterator[Planted]) -> Iterator[dict[str, object]]:
    """Plant each cause in turn, ask, and take it away; the world is sound between them."""
    for case in cases:
        case.plant()
        try:
            found, took_s = ground.ask(*case.ends)
        finally:
            case.undo()
        stops = [hop.place for hop in found.hops if hop.stops]
        yield {
            "case": f"{case.cause}: {case.ends[0]} to {case.ends[1]}",
            "right": found.cause == case.cause and (not case.stops or case.stops in stops),
            "passes": found.passes,
            "found": found.cause,
            "stops": stops,
            "sentence": found.sentence,
            "remedy": found.remedy,
            "took_s": round(took_s, 2),
        }
        if case.passes_after:
            ground.wait(*case.ends)
