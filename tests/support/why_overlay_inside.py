"""Plant causes between the simulated hosts that are up here, and print what `why` found, as JSON.

`python -m tests.support.why_overlay_inside COUNT`: so many of them, evenly chosen; 0 is all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.support import why_cases
from tests.support.sandbox import INVOKE
from tests.support.why_cases import Planted
from tests.support.why_ground import Ground
from twinstack import stack
from twinstack.model.vxlan import OVERLAY_MTU, mac_of
from twinstack.observe.why.explanation import Explanation
from twinstack.overlay import chaos, hosts, why
from twinstack.overlay.world import Overlay

_NOBODY = "02:00:00:00:00:99"
_UP = f"{INVOKE} overlay.up"


#: So small that not even a SYN in its VXLAN frame passes: a request that fits is answered.
_NO_SYN_MTU = 100


def shell(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)


@dataclass(frozen=True)
class OverlayGround(Ground):
    """The running overlay, asked as a world is."""

    @property
    def overlay(self) -> Overlay:
        return self.world  # type: ignore[return-value]  # each is asked by its own `ask`

    def on(self, host: str) -> str:
        """Give the words that run a command on a host."""
        return " ".join(hosts.pins_of(self.overlay.plan.instance, host).enter)

    def ask(self, source: str, destination: str) -> tuple[Explanation, float]:
        began = time.monotonic()
        found = why.ask(self.overlay, source, destination, "tcp")
        return found, time.monotonic() - began


def planted(ground: OverlayGround) -> Iterator[Planted]:
    """List what can be wrong between two hosts, and at either end."""
    overlay, where = ground.overlay, ground.overlay.spread.where
    source = "api-gateway"
    target = next(
        name
        for name in ("product-service", "product-service-2", "product-service-3")
        if where[name] != where[source]
    )
    near, far = where[source], where[target]
    here, there = ground.on(near), ground.on(far)
    segment = overlay.plan.segment(overlay.plan.replica(target).segment)
    bridge, link = segment.bridge, "vx-app"
    address, own = (overlay.plan.replica(name).address for name in (target, source))
    mac, own_mac = mac_of(address), mac_of(own)
    vteps = {host.name: str(host.address) for host in overlay.spread.hosts}
    ends = source, target

    def case(
        cause: str,
        plant: str,
        undo: str,
        stops: str = "",
        asked: tuple[str, str] = ends,
        passes_after: bool = True,
    ) -> Planted:
        return Planted(
            cause, asked, partial(shell, plant), partial(shell, undo), stops, passes_after
        )

    for host, enter in ((near, here), (far, there)):
        tunnel = f"{host}/{link}"
        down, up = (f"{enter} ip link set {link} {state}" for state in ("down", "up"))
        yield case("tunnel-down", down, up, tunnel)
        for cause, vni, number in (("wrong-vni", 9999, 4789), ("wrong-port", 7300, 4790)):
            options = f"id {vni} local {vteps[host]} dstport {number} nolearning df set"
            again = f"{enter} ip link add {link} mtu {OVERLAY_MTU} type vxlan {options}"
            made = f"{enter} ip link del {link}; {again}"
            joined = f"{enter} ip link set {link} master {bridge} up"
            yield case(cause, f"{made}; {joined}", f"{enter} ip link del {link}; {_UP}", tunnel)
        yield case("tunnel-missing", f"{enter} ip link del {link}", _UP, tunnel)
        yield case("tunnel-not-on-bridge", f"{enter} ip link set {link} nomaster", _UP, tunnel)
    for host, enter, wanted, vtep in (
        (near, here, mac, vteps[far]),
        (far, there, own_mac, vteps[near]),
    ):
        entry = f"{wanted} dev {link} dst {vtep} self permanent"
        put = f"{enter} bridge fdb replace {entry}"
        tunnel = f"{host}/{link}"
        # Without an entry a frame goes where broadcasts go: their entry must be gone, too.
        copies = f"00:00:00:00:00:00 dev {link} dst {vtep} self"
        gone = f"{enter} bridge fdb del {wanted} dev {link} dst {vtep} self"
        gone += f"; {enter} bridge fdb del {copies}"
        again = f"{enter} bridge fdb append {copies} permanent"
        yield case("fdb-missing", gone, f"{again}; {put}", tunnel)
        astray = f"{enter} bridge fdb replace {wanted} dev {link} dst 10.88.0.99 self permanent"
        yield case("fdb-wrong-host", astray, put, tunnel)
        port = f"{wanted} dev {link} master"
        yield case(
            "fdb-missing",
            f"{enter} bridge fdb del {port}",
            f"{enter} bridge fdb replace {port} static",
            tunnel,
        )
    for host, enter, name, to, wanted, vtep in (
        (near, here, source, address, mac, vteps[far]),
        (far, there, target, own, own_mac, vteps[near]),
    ):
        flush = f"{enter} ip -n {name} neigh flush all"
        put = f"{enter} ip neigh replace {to} lladdr {wanted} dev {bridge} nud permanent; {flush}"
        stops = bridge if host == near else f"{host}/{bridge}"
        copies = f"00:00:00:00:00:00 dev {link} dst {vtep} self"  # of broadcasts: ARP by itself
        gone = f"{enter} bridge fdb del {copies}; {enter} ip neigh del {to} dev {bridge}; {flush}"
        again = f"{enter} bridge fdb append {copies} permanent"
        yield case("neighbour-missing", gone, f"{again}; {put}", stops)
        wrong = f"{enter} ip neigh replace {to} lladdr {_NOBODY} dev {bridge} nud permanent"
        wrong += f"; {enter} bridge fdb del {copies}"  # else a broadcast finds the right one
        yield case("wrong-neighbour", f"{wrong}; {flush}", f"{again}; {put}", stops)
    for host, enter in ((near, here), (far, there)):
        port = f"ve-{host}"
        yield case("underlay-down", f"ip link set {port} down", f"ip link set {port} up", port)
        narrow, wide = (f"ip link set {port} mtu {mtu}" for mtu in (_NO_SYN_MTU, 1500))
        yield case("underlay-mtu", narrow, wide, port)
        down, up = (f"{enter} ip link set eth0 {state}" for state in ("down", "up"))
        yield case("underlay-down", down, f"{up}; {_UP}", f"{host}/eth0")
        for chain in ("INPUT", "OUTPUT") if host == far else ("OUTPUT",):
            rule = f"{chain} -p udp --dport 4789 -j DROP"
            yield case(
                "vxlan-denied",
                f"{enter} iptables -I {rule}",
                f"{enter} iptables -D {rule}",
                f"{host}/eth0",
            )
        forward = f"FORWARD -s {own} -d {address} -j DROP"
        yield case(
            "foreign-rule",
            f"{enter} iptables -I {forward}",
            f"{enter} iptables -D {forward}",
            bridge if host == near else f"{host}/{bridge}",
        )
    underlay = overlay.spread.bridge
    down, up = (f"ip link set {underlay} {state}" for state in ("down", "up"))
    yield case("underlay-down", down, up, f"ve-{near}")
    for enter, name in ((here, source), (there, target)):
        end = overlay.plan.replica(name).host_link
        down, up = (f"{enter} ip link set {end} {state}" for state in ("down", "up"))
        yield case("host-end-down", down, up, end)
    edge = where["nginx-lb"]
    asking = next(host.name for host in overlay.spread.hosts if host.name != edge)
    route = f"{ground.on(asking)} ip route replace {segment.subnet} dev {bridge} proto static"
    yield case(
        "source-route",
        f"{route} scope link src {segment.gateway}",
        f"{route} scope link src {vteps[asking]}",
        asked=(asking, "nginx-lb"),
    )
    store = next(name for name in ("redis-cache", "postgres-db") if where[name] != where[source])
    yield case("no-flow", "true", "true", asked=(source, store), passes_after=False)
    yield Planted(
        "host-lost",
        ends,
        partial(_lose, overlay, far),
        partial(shell, f"ip link set ve-{far} up; {_UP}"),
        f"ve-{far}",
    )


def _lose(overlay: Overlay, host: str) -> None:
    """Lose a host as `chaos` does: cut off, and everything on it killed."""
    shell(f"ip link set ve-{host} down")
    chaos._kill(overlay.plan.instance, host)


def main(count: int) -> None:
    ground = OverlayGround(stack.from_environment().overlay(), shell)  # type: ignore[arg-type]
    every = list(planted(ground))
    step = max(1, -(-len(every) // count)) if count else 1
    sys.stdout.write(json.dumps(list(why_cases.tried(ground, iter(every[::step])))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
