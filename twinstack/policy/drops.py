"""What the policy denies: counted by its rules, sampled by NFLOG, named by the plan."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinstack.linux import child
from twinstack.linux.nflog import DeniedPacket, listen, opened
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import WorldName
from twinstack.policy.chains import NFLOG_GROUP, NFLOG_PER_S, nflog_prefix
from twinstack.policy.permissions import addresses_by_endpoint
from twinstack.printable import counted

_COUNTED = ("iptables-save", "-c", "-t", "filter")


@dataclass(frozen=True, slots=True)
class DroppedFlow:
    """Denied packets that are alike."""

    source: str
    destination: str
    protocol: str
    port: int  # 0 where the protocol has none
    logged: int  # how many of them NFLOG has sent


@dataclass(frozen=True, slots=True)
class DroppedPackets:
    """What a world's policy denied while we listened."""

    world: WorldName
    denied: int  # packets
    since_up: int  # packets since the rules were written
    flows: tuple[DroppedFlow, ...]  # most frequent first


@dataclass(frozen=True, slots=True)
class DropReport:
    """What came while we listened."""

    seconds: float  # that we listened
    worlds: tuple[DroppedPackets, ...]
    interrupted: bool = False  # by Ctrl-C


def watch(plans: Mapping[WorldName, Plan], host: Path | None, seconds: float) -> DropReport:
    """Listen to NFLOG in the host's netns; Ctrl-C ends the listening, and the report says so.

    Raises: CannotTell when another program listens; OSError; StepFailed.
    """
    before = run(_COUNTED).stdout
    packets: list[DeniedPacket] = []
    began, interrupted = time.monotonic(), False
    with child.socket_in(host, lambda: opened(NFLOG_GROUP)) as log:
        try:
            packets.extend(listen(log, seconds))
        except KeyboardInterrupt:
            seconds, interrupted = round(time.monotonic() - began, 1), True
    after = run(_COUNTED).stdout
    worlds = (_dropped(plan, world, before, after, packets) for world, plan in plans.items())
    return DropReport(seconds, tuple(worlds), interrupted)


def _dropped(
    plan: Plan, world: WorldName, before: str, after: str, packets: Sequence[DeniedPacket]
) -> DroppedPackets:
    own = [packet for packet in packets if packet.prefix == nflog_prefix(plan, world)]
    now = count(plan, world, after)
    flows = summed(own, endpoints_by_address(plan, world))
    return DroppedPackets(world, now - count(plan, world, before), now, flows)


def count(plan: Plan, world: WorldName, saved: str) -> int:
    """Give how many packets the policy has denied, from `iptables-save -c`. Pure."""
    chain = re.escape(names.chain(plan.instance, "DENY", world))
    match = re.search(rf"^\[(\d+):\d+\] -A {chain} .*-j DROP$", saved, re.MULTILINE)
    return int(match[1]) if match else 0


def denied_since_up(plans: Mapping[WorldName, Plan]) -> dict[WorldName, int]:
    """Count the packets that each world denied since its rules were written. Raises: StepFailed."""
    saved = run(_COUNTED).stdout
    return {world: count(plan, world, saved) for world, plan in plans.items()}


def endpoints_by_address(plan: Plan, world: WorldName) -> dict[str, str]:
    """Map every address of the plan to its replica, or to HOST. Pure."""
    own = addresses_by_endpoint(plan, world)
    return {address: endpoint for (endpoint, _), address in own.items()} | {"127.0.0.1": HOST}


def summed(
    packets: Sequence[DeniedPacket], endpoints: Mapping[str, str]
) -> tuple[DroppedFlow, ...]:
    """Sum packets that are alike, most frequent first. Pure."""

    def name(address: str) -> str:
        return endpoints.get(address, f"{OUTSIDE} ({address})")

    alike = Counter(
        (name(packet.source), name(packet.destination), packet.protocol, packet.port)
        for packet in packets
    )
    return tuple(DroppedFlow(*key, logged) for key, logged in alike.most_common())


def text(report: DropReport) -> str:
    """Give the report as lines. Pure."""
    lines = []
    for dropped in report.worlds:
        first = f"{counted(dropped.denied, 'packet')} denied in {report.seconds:g} s"
        lines.append(f"{dropped.world}: {first}, {dropped.since_up} since the rules were written.")
        for flow in dropped.flows:
            target = f"{flow.protocol}/{flow.port}" if flow.port else flow.protocol
            lines.append(f"  {flow.logged:>5}  {flow.source} → {flow.destination} {target}")
        logged = sum(flow.logged for flow in dropped.flows)
        if logged < dropped.denied:
            lines.append(f"  {logged} of them logged: NFLOG sends {NFLOG_PER_S} a second at most.")
    return "\n".join(lines)
