"""What was denied: counted by the rules, told by the kernel in samples, and named by the plan."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinstack.linux import child
from twinstack.linux.nflog import Denied, listen
from twinstack.model import names
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import WorldName
from twinstack.policy.chains import NFLOG_GROUP, NFLOG_PER_S, mark_of
from twinstack.policy.permissions import addresses, gateway_in


@dataclass(frozen=True, slots=True)
class Dropped:
    """Denied packets alike in everything; `told` is how many the kernel told of."""

    source: str
    destination: str
    protocol: str
    port: int
    told: int

    @property
    def target(self) -> str:
        return f"{self.protocol}/{self.port}" if self.port else self.protocol


@dataclass(frozen=True, slots=True)
class Drops:
    """What came while somebody listened.

    `denied` counts every packet of it, `since_up` every one since the rules were written.
    """

    seconds: float
    denied: int
    since_up: int
    told: tuple[Dropped, ...]


def watch(
    plan: Plan,
    world: WorldName,
    host: Path | None,
    counted: Callable[[], str],
    seconds: float,
) -> Drops:
    """Listen for so long where the rules are; `counted` gives `iptables-save -c`.

    Raises: CannotTell when somebody else listens; StepFailed.
    """
    before = count(plan, world, counted())
    prefix = mark_of(plan, world)

    def collect() -> list[Denied]:
        return [one for one in listen(NFLOG_GROUP, seconds) if one.prefix == prefix]

    found = child.inside("host", host, collect)
    after = count(plan, world, counted())
    return Drops(seconds, after - before, after, summed(found, names_of(plan, world)))


def count(plan: Plan, world: WorldName, saved: str) -> int:
    """Give how many packets the policy has denied, from `iptables-save -c`; pure."""
    chain = re.escape(names.chain(plan.instance, "DENY", world))
    found = re.search(rf"^\[(\d+):\d+\] -A {chain} .*-j DROP$", saved, re.MULTILINE)
    return int(found[1]) if found else 0


def names_of(plan: Plan, world: WorldName) -> dict[str, str]:
    """Map every address of the plan's to whose it is; pure."""
    found = {
        str(address): replica.name
        for replica in plan.replicas
        for _, address in addresses(replica, world)
    }
    found |= {gateway_in(plan, segment.name, world): HOST for segment in plan.segments}
    return {**found, "127.0.0.1": HOST}


def summed(found: Sequence[Denied], names: dict[str, str]) -> tuple[Dropped, ...]:
    """Put what is alike together, most first; an address of nobody's is told as it is; pure."""

    def name(address: str) -> str:
        return names.get(address, f"{OUTSIDE} ({address})")

    alike = Counter(
        (name(one.source), name(one.destination), one.protocol, one.port) for one in found
    )
    return tuple(Dropped(*key, told) for key, told in alike.most_common())


def text(drops: Drops) -> str:
    """Write it for a person; pure."""
    first = f"{drops.denied} packets denied in {drops.seconds:g} s"
    lines = [f"{first}, {drops.since_up} since the rules were written."]
    lines += [
        f"  {one.told:>5}  {one.source} → {one.destination} {one.target}" for one in drops.told
    ]
    told = sum(one.told for one in drops.told)
    if told < drops.denied:
        lines.append(f"  {told} of them told: the kernel tells {NFLOG_PER_S} a second at most.")
    return "\n".join(lines)
