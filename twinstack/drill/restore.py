"""Take away what a drill or its student left in a world, whatever it is.

First what plain commands can set back; then `up`, by the engine that there is; then replicas
that still differ are made again; at last the whole world. A stranger's objects stay.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from twinstack.compose.render import container_name
from twinstack.drill import rules
from twinstack.drill.difference import Difference, differences
from twinstack.drill.ground import AnyWorld, SpreadWorld, entrances
from twinstack.drill.kernel_state import Scope
from twinstack.drill.shell import Shell
from twinstack.drill.snapshot import Snapshot, link_names, scope_of, take
from twinstack.errors import TwinstackError
from twinstack.linux.iptables import RESTORE
from twinstack.linux.process import run
from twinstack.model.plan import HOST
from twinstack.reconcile import Progress

_MOST_LINES = 4


@dataclass(frozen=True, slots=True)
class Restorer:
    """Brings a world back to a snapshot."""

    world: AnyWorld
    before: Snapshot
    progress: Progress
    timeout_s: float
    undo: Callable[[], None]  # takes the fault away, as far as what it needs is there

    def differing(self) -> tuple[Difference, ...]:
        """List what differs now. Raises: Missing, StepFailed."""
        after = take(self.world, self.before)
        return differences(self.before, after, scope_of(self.world, after.links))

    def restore(self) -> tuple[Difference, ...]:
        """Bring all of ours back; give what still differs, and what strangers lost or gained.

        Raises: what keeps the world from being made again.
        """
        for act in (self._up, self._undo_again, self._remake_replicas):
            self._tidy_if_it_can_be_read()
            try:
                act()
                self._tidy()
                left = self.differing()
            except TwinstackError as error:  # the next one needs less to be there
                self.progress(str(error))
                continue
            if not any(each.ours for each in left):
                return left
            for each in left[:_MOST_LINES]:
                self.progress(f"{each}")
        self.remake()
        return self.differing()

    def remake(self) -> None:
        """Take the world down and bring it up. Raises: TwinstackError."""
        self.progress(f"the whole {self.world.name} world is made again")
        self._tidy_if_it_can_be_read()
        self.world.down(progress=lambda _line: None)
        self._up()
        self._tidy()

    def _tidy_if_it_can_be_read(self) -> None:
        """Tidy before the world is made again: that also starts an engine that was killed."""
        try:
            self._tidy()
        except TwinstackError as error:
            self.progress(str(error))

    def _up(self) -> None:
        self.world.up(timeout_s=self.timeout_s, progress=lambda _line: None)

    def _undo_again(self) -> None:
        """Undo what could not be reached while a store was down."""
        self.undo()
        self._up()

    def _remake_replicas(self) -> None:
        """Remove what is left of the replicas that differ; `up` makes them again."""
        names = {each.place for each in self.differing() if each.ours} - {HOST}
        for name in sorted(names):
            remove_replica(self.world, name)
        self._up()

    def _tidy(self) -> None:
        """Tell the kernel directly: what is surplus goes, what was set otherwise is set back."""
        after = take(self.world, self.before)
        scope = scope_of(self.world, after.links)
        shell = Shell.of(self.world)
        ways = entrances(self.world)
        for place, now in after.places.items():
            was = self.before.places.get(place)
            if was is None or not now.network:
                continue
            inside = scope if place == HOST else Scope(all_of_it=True)
            if text := rules.restoring(was.rules, now.rules, inside):
                run([*ways.get(place, ()), *RESTORE], stdin=text, check=False)
        actual = _actual_names(self.world)
        for each in differences(self.before, after, scope):
            words = "" if each.place == HOST else shlex.join(ways.get(each.place, ()))
            for command in commands(each, actual.get(each.place, {})):
                shell.run(f"{words} {command}".strip())


def _actual_names(world: AnyWorld) -> dict[str, dict[str, str]]:
    host, inside = link_names(world)
    named = {HOST: host, **inside}
    return {place: {shown: name for name, shown in links.items()} for place, links in named.items()}


#: Kinds of links that nobody but a student adds inside a replica.
_MADE_BY_HAND = frozenset({"veth", "dummy", "bridge", "vxlan", "macvlan", "ipvlan", "vlan", "ifb"})


def commands(difference: Difference, actual: dict[str, str]) -> Iterator[str]:
    """Give the commands that undo a difference where the kernel alone can; pure."""
    what, was, now = difference.what, difference.was, difference.now
    kind, _, rest = what.partition(" ")

    def link(shown: str) -> str:
        return actual.get(shown, shown)

    if kind == "sysctl" and was is not None:
        parts = rest.split(".")
        key = ".".join([*parts[:3], link(parts[3]), *parts[4:]] if len(parts) == 5 else parts)
        yield f"sysctl -qw {key}={shlex.quote(was)}"
    elif kind == "route":
        yield f"ip route {'del' if was is None else 'replace'} {_replaced(rest, link)}"
    elif what.startswith("routing rule "):
        preference, _, words = what.removeprefix("routing rule ").partition(": ")
        verb = "del" if was is None else "add"
        yield f"ip rule {verb} {_replaced(words, link)} pref {preference}"
    elif kind == "address":
        address, _, device = rest.partition(" on ")
        yield f"ip address {'del' if was is None else 'add'} {address} dev {link(device)}"
    elif kind == "neighbour":
        address, _, device = rest.partition(" on ")
        if was is None:
            yield f"ip neigh del {address} dev {link(device)}"
        else:
            yield f"ip neigh replace {address} lladdr {was} dev {link(device)} nud permanent"
    elif kind == "qdisc":
        place, _, device = rest.partition(" on ")
        if was is None and "parent" not in place:
            where = (
                "ingress" if "ingress" in str(now) else "clsact" if "clsact" in str(now) else place
            )
            yield f"tc qdisc del dev {link(device)} {where}"
    elif what.startswith("FDB entry "):
        mac, _, device = what.removeprefix("FDB entry ").partition(" on ")
        given = str(now if was is None else was).split()
        options = " ".join(_fdb_options(given))
        verb = "del" if was is None else "append" if "dst" in given else "replace"
        yield f"bridge fdb {verb} {mac} dev {link(device)} {options}"
    elif kind == "link":
        if was is None and difference.place != HOST and now in _MADE_BY_HAND:
            yield f"ip link del {rest}"
        else:
            yield from _link_commands(rest, was, now, link)


def _fdb_options(words: Sequence[str]) -> Iterator[str]:
    for at, word in enumerate(words):
        if word in {"dst", "vlan", "via", "vni", "port"}:
            yield f"{word} {words[at + 1]}"
        elif word in {"self", "static", "permanent"} or word == "master":
            yield word


def _link_commands(
    rest: str, was: str | None, now: str | None, link: Callable[[str], str]
) -> Iterator[str]:
    match = re.fullmatch(
        r"(.+) (state|mtu|master|flags|ifalias|port \w+|stp_state|ageing_time"
        r"|vlan_filtering|mcast_snooping|nf_call_\w+|forward_delay|group_fwd_mask)",
        rest,
    )
    if match is None:
        if was is None:  # it was not there
            yield f"ip link set {link(rest)} nomaster"
        return
    device, attribute = link(match[1]), match[2]
    if attribute == "master":
        yield f"ip link set {device} " + (f"master {link(was)}" if was else "nomaster")
    elif attribute == "flags":
        for flag, word in (("NOARP", "arp"), ("PROMISC", "promisc"), ("ALLMULTI", "allmulticast")):
            on = (flag in (was or "")) != (word == "arp")
            if (flag in (was or "")) != (flag in (now or "")):
                yield f"ip link set {device} {word} {'on' if on else 'off'}"
    elif was is None:
        return
    elif attribute == "state":
        yield f"ip link set {device} {was}"
    elif attribute == "mtu":
        yield f"ip link set {device} {attribute} {was}"
    elif attribute == "ifalias":
        yield f"ip link set {device} alias {shlex.quote(was)}"
    elif attribute.startswith("port "):
        name = attribute.removeprefix("port ")
        value = {"True": "on", "False": "off"}.get(was, was)
        yield f"bridge link set dev {device} {name} {value}"
    else:
        yield f"ip link set {device} type bridge {attribute} {was}"


def _replaced(route: str, link: Callable[[str], str]) -> str:
    """Write a route as `ip route add` takes it, with the names that links have now."""
    words = route.split()
    for at, word in enumerate(words[:-1]):
        if word in {"dev", "iif", "oif"}:
            words[at + 1] = link(words[at + 1])
    return " ".join(words)


def remove_replica(world: AnyWorld, name: str) -> None:
    """Remove what there is of a replica, so that `up` makes it again. Raises: TwinstackError."""
    if engine := getattr(world, "engine", None):
        container = container_name(world.plan, world.plan.replica(name))
        run(["docker", "--host", engine.url, "rm", "--force", container], check=False)
        return
    if isinstance(world, SpreadWorld):
        return  # `up` finds what is gone; else its hosts are made again
    world.stop(name)
    run(["ip", "netns", "delete", name], check=False)
