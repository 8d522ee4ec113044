"""The iptables rules of a plan, as text in the form that iptables-save prints. Pure.

Every rule is in a chain of our own and bears our mark as a comment, as do the jumps from the
built-in chains. Writing them in iptables-save's own form makes comparing them with what is
there a comparison of lines. Source: iptables-extensions(8).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from twinstack import names
from twinstack.plan import HostPort, Plan, Segment

#: Bridges and tunnels of others: whether our namespaces may enter them is not ours to decide.
_FOREIGN_BRIDGES = (
    "docker+", "br-+", "dk-+", "virbr+", "lxdbr+", "cni+", "podman+",
    "wg+", "tun+", "tap+", "tailscale+",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hook:
    """One of our chains, and the built-in chain that it hangs off.

    `first` puts the jump before other people's rules: needed where theirs would drop.
    """

    table: str
    builtin: str
    chain: str
    rules: tuple[str, ...]
    first: bool = False
    comment: str = ""

    @property
    def jump(self) -> str:
        return f"-A {self.builtin} -m comment --comment {quoted(self.comment)} -j {self.chain}"

    @property
    def lines(self) -> tuple[str, ...]:
        """Give the chain's content as iptables-save prints it."""
        return tuple(f"-A {self.chain} {rule}" for rule in self.rules)


def hooks(plan: Plan) -> tuple[Hook, ...]:
    """Decide every rule of the plan."""
    doors = [door for door in plan.host_ports if door.world == "net"]

    def hook(table: str, builtin: str, rules: Iterator[str], *, first: bool = False) -> Hook:
        chain = names.chain(plan.instance, builtin)
        return Hook(table, builtin, chain, tuple(rules), first, plan.mark)

    return (
        hook("raw", "PREROUTING", _loopback_guard(plan)),
        hook("nat", "PREROUTING", _doors(plan, doors)),
        hook("nat", "OUTPUT", _doors(plan, doors)),
        hook("nat", "POSTROUTING", _masquerade(plan, doors)),
        hook("filter", "FORWARD", _forward(plan), first=True),
    )


def restore_text(wanted: tuple[Hook, ...], present: Mapping[str, tuple[str, ...]]) -> str:
    """Write the input of one `iptables-restore --noflush` that makes `wanted` so.

    Naming a chain of ours there empties it, so its content is replaced as a whole; a jump is
    added only where it is absent. A table is committed at once or not at all.
    """
    text: list[str] = []
    for table in dict.fromkeys(hook.table for hook in wanted):
        mine = [hook for hook in wanted if hook.table == table]
        text.append(f"*{table}")
        text += [f":{hook.chain} - [0:0]" for hook in mine]
        for hook in mine:
            text += hook.lines
            if hook.jump not in present.get(table, ()):
                text.append(hook.jump.replace("-A ", "-I ", 1) if hook.first else hook.jump)
        text.append("COMMIT")
    return "\n".join([*text, ""])


def removal_text(
    instance: str,
    present: Mapping[str, tuple[str, ...]],
    only: Collection[str] | None = None,
) -> str:
    """Write the input of one `iptables-restore --noflush` that removes what bears our mark.

    Needs no plan: chains of ours are known by their name, jumps by the chain they lead to. A
    chain in which somebody else has put a rule loses ours and stays. `only` names the chains
    that are to go, if not all. Empty when there is nothing of ours.
    """
    text: list[str] = []
    for table, lines in present.items():
        chains = [one for one in our_chains(instance, lines) if only is None or one in only]
        if not chains:
            continue
        text.append(f"*{table}")
        kept = {chain for chain in chains if strangers(chain, instance, lines)}
        for line in lines:
            target = _JUMP.search(_without_comments(line))
            ours = any(line.startswith(f"-A {chain} ") for chain in kept) and _is_marked(
                line, instance
            )
            if line.startswith("-A ") and ((target and target[1] in chains) or ours):
                text.append(line.replace("-A ", "-D ", 1))
        text += [f"-F {chain}" for chain in chains if chain not in kept]
        text += [f"-X {chain}" for chain in chains if chain not in kept]
        text.append("COMMIT")
    return "\n".join([*text, ""]) if text else ""


def strangers(chain: str, instance: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    """List the rules in a chain of ours that do not bear our mark: somebody else put them there."""
    return tuple(
        line for line in lines if line.startswith(f"-A {chain} ") and not _is_marked(line, instance)
    )


def _is_marked(line: str, instance: str) -> bool:
    comment = re.search(r'--comment "?([^\s"]+)', line)
    return comment is not None and comment[1] == names.mark(instance)


#: The target of a rule, once no comment is left that could hold the same words.
_JUMP = re.compile(r" -j (\S+)")


def _without_comments(line: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', "", line)


def our_chains(instance: str, lines: tuple[str, ...]) -> list[str]:
    """List the chains of an instance among a table's lines."""
    known = {names.chain(instance, hook) for hook in
             ("PREROUTING", "INPUT", "OUTPUT", "FORWARD", "POSTROUTING")}  # fmt: skip
    return [line[1:].split()[0] for line in lines
            if line.startswith(":") and line[1:].split()[0] in known]  # fmt: skip


def difference(hook: Hook, present: tuple[str, ...]) -> str | None:
    """Say how a chain differs from what is wanted, or None."""
    if not any(line.startswith(f":{hook.chain} ") for line in present):
        return f"chain {hook.chain} is absent"
    there = tuple(line for line in present if line.startswith(f"-A {hook.chain} "))
    if there != hook.lines:
        lost = len(set(hook.lines) - set(there))
        strange = len(set(there) - set(hook.lines))
        return f"chain {hook.chain}: {lost} rules missing, {strange} not ours to expect"
    if hook.jump not in present:
        return f"the jump from {hook.builtin} is absent"
    return None


def quoted(comment: str) -> str:
    """Quote a comment as iptables-save does."""
    return f'"{comment}"'


def _rule(plan: Plan, match: str, target: str, why: str = "") -> str:
    comment = f"{plan.mark} {why}".rstrip()
    middle = f"{match} " if match else ""
    return f"{middle}-m comment --comment {quoted(comment)} -j {target}"


def _loopback_guard(plan: Plan) -> Iterator[str]:
    """Keep namespaces away from what listens on the host's 127.0.0.1.

    route_localnet, needed for localhost:8080, would let them in.
    """
    for segment in plan.segments:
        yield _rule(plan, f"-d 127.0.0.0/8 -i {segment.bridge}", "DROP", "guard of the host")


def _doors(plan: Plan, doors: list[HostPort]) -> Iterator[str]:
    """Send a port of the host on to its replica, wherever the client is."""
    for door in doors:
        replica = plan.replica(door.replica)
        local = "-m addrtype --dst-type LOCAL"
        if not door.bind.is_unspecified:
            local = ""
        bound = "" if door.bind.is_unspecified else f"-d {door.bind}/32 "
        match = " ".join(f"{bound}-p tcp {local} -m tcp --dport {door.port}".split())
        yield _rule(plan, match, f"DNAT --to-destination {replica.address}:{replica.port}")


def _masquerade(plan: Plan, doors: list[HostPort]) -> Iterator[str]:
    for door in doors:
        replica = plan.replica(door.replica)
        segment = plan.segment(replica.segment)
        to = f"-d {replica.address}/32"
        # A client on the host's loopback has an address that means nothing in the namespace.
        yield _rule(
            plan,
            f"-s 127.0.0.0/8 {to} -o {segment.bridge} -p tcp -m tcp --dport {replica.port}",
            "MASQUERADE",
            "localhost",
        )
        # A neighbour that came by way of the host must be answered by way of the host.
        yield _rule(
            plan,
            f"-s {segment.subnet} {to} -p tcp -m tcp --dport {replica.port}"
            " -m conntrack --ctstate DNAT",
            "MASQUERADE",
            "hairpin",
        )
    for segment in plan.segments:
        yield _rule(plan, f"-o {segment.bridge}", "RETURN", "between our own")
    for segment in plan.segments:
        yield _rule(plan, f"-s {segment.subnet}", "MASQUERADE", "out")


def _forward(plan: Plan) -> Iterator[str]:
    """Accept our own traffic where somebody (Docker) has made DROP the policy."""
    bridges = [segment.bridge for segment in plan.segments]
    for source in bridges:
        for destination in bridges:
            yield _rule(plan, f"-i {source} -o {destination}", "ACCEPT", "between our own")
    for bridge in bridges:
        yield _rule(
            plan, f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED", "ACCEPT", "replies"
        )
        yield _rule(plan, f"-o {bridge} -m conntrack --ctstate DNAT", "ACCEPT", "the door")
        for foreign in _FOREIGN_BRIDGES:
            yield _rule(plan, f"-i {bridge} -o {foreign}", "RETURN", "left to the rules of others")
        yield _rule(plan, f"-i {bridge}", "ACCEPT", "out")


def segments_with_doors(plan: Plan) -> tuple[Segment, ...]:
    """List the segments that a door on the host's loopback leads into."""
    behind = {plan.replica(door.replica).segment for door in plan.host_ports if door.world == "net"}
    return tuple(segment for segment in plan.segments if segment.name in behind)
