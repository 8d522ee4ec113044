"""How each fault observes its target and gives the effects that it is made of; changes nothing.

The same for both worlds, from what `LocalWorld` says of them.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator

from twinstack.errors import CannotTell, Missing
from twinstack.faults import on_packets, on_processes
from twinstack.faults.effect import Effect
from twinstack.linux import child, links, procfs
from twinstack.linux.iptables import quoted
from twinstack.linux.nfqueue import MARK
from twinstack.model import names
from twinstack.model.plan import HOST, Plan, Replica
from twinstack.world import LocalWorld

#: The share of packets that `loss` drops, and what `rate` lets through each way.
LOSS, RATE_KBIT = 0.1, 1000
#: How long `delay` holds a packet, each way.
DELAY_MS = 50


def _cgroup(world: LocalWorld, target: str) -> str:
    """Give the cgroup of a replica that runs. Raises: Missing."""
    path = world.cgroup_paths().get(target)
    if path is None or target not in world.main_pids():
        raise Missing(target, "cannot be struck", "it does not run", f"run invoke {world.name}.up")
    return path


def killed(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Kill a replica's processes."""
    yield on_processes.Killed(_cgroup(world, target))


def suspended(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Suspend a replica's processes."""
    yield on_processes.Suspended(_cgroup(world, target))


def emptied(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Remove a store's files and kill it; one without files loses all by the kill."""
    data, pid = world.plan.replica(target).launch.data, world.main_pids().get(target)
    directory = f"/proc/{pid}/root{data}" if data else ""
    yield on_processes.Emptied(_cgroup(world, target), directory)


def full(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Let PostgreSQL write to no file."""
    yield on_processes.Full(_cgroup(world, target), "postgres")


def engine(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Kill what runs the world."""
    if (pid := world.engine_pid()) is None:
        cause = "it is not ours, or runs more than this world"
        raise Missing("engine", "cannot be killed", cause, "choose another fault")
    yield on_processes.EngineKilled(pid, procfs.start_ticks(pid))


def stopped(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Stop a replica in an orderly way."""
    _cgroup(world, target)
    yield on_processes.StoppedReplica(target)


def _ends(world: LocalWorld, target: str) -> Iterator[tuple[str, str, int]]:
    """Give a replica's links on the host: namespace, name, index. Raises: Missing."""
    ends = [link for link in world.links() if (link.kind, link.replica) == ("host end", target)]
    if not ends:
        raise Missing(target, "cannot be struck", "it has no link", f"run invoke {world.name}.up")
    present = child.inside("the host", world.namespaces()[HOST], links.links_here)
    for end in ends:
        yield end.namespace, end.name, present[end.name].index


def link_down(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Take a replica's links down."""
    for namespace, name, index in _ends(world, target):
        yield on_packets.LinkDown(namespace, name, index)


def shaped(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Limit the rate of a replica's links, at both ends."""
    for link in world.links():
        if link.replica == target:
            yield on_packets.Shaped(link.namespace, link.name, RATE_KBIT)


def _addresses(world: LocalWorld, members: list[Replica]) -> list[str]:
    if world.name == "net":
        return [str(replica.address) for replica in members]
    return [str(each.address) for replica in members for each in replica.attachments]


def _dropped(
    world: LocalWorld, fault: str, target: str, matches: Iterator[str], to: str = "DROP"
) -> on_packets.FirstChain:
    """Drop what matches, wherever this world's packets pass. Raises: CannotTell."""
    plan, host = world.plan, world.namespaces()[HOST]
    present, every = child.inside("the host", host, _filtered)
    for segment in plan.segments:
        bridge = segment.bridge_in(world.name)
        if not (every or bridge in present):
            cause = f"frames between ports of {bridge} bypass iptables"
            raise CannotTell(fault, "would do nothing", cause, f"run invoke {world.name}.up")
    comment = f"-m comment --comment {quoted(f'{plan.mark} fault {fault}:{target}')} -j {to}"
    chain = names.fault_chain(plan.instance, f"{fault}:{target}", world.name)
    rules = tuple(f"{match} {comment}" for match in matches)
    return on_packets.FirstChain(str(host or ""), chain, plan.mark, rules)


def _filtered() -> tuple[frozenset[str], bool]:
    """List the bridges here that hand frames to iptables, and say whether all do."""
    found = frozenset(name for name, link in links.links_here().items() if link.filtered)
    return found, procfs.sysctl_numbers("net.bridge.bridge-nf-call-iptables") == (1,)


def partitioned(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Drop what passes between two tiers, services or replicas."""
    one, _, other = target.partition("/")
    sides = [_addresses(world, members_of(world.plan, side)) for side in (one, other)]
    both = (*itertools.product(*sides), *itertools.product(*reversed(sides)))
    matches = (f"-s {source}/32 -d {to}/32" for source, to in both if source != to)
    yield _dropped(world, "partition", target, matches)


def members_of(plan: Plan, name: str) -> list[Replica]:
    """Give the replicas of a tier, of a service, or one by its name. Raises: TwinstackError."""
    members = [each for each in plan.here if name in {each.tier, each.service, each.name}]
    return members or [plan.replica(name)]


def lossy(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Drop some of a replica's packets."""
    chance = f"-m statistic --mode random --probability {LOSS}"
    own = _addresses(world, [world.plan.replica(target)])
    matches = (f"{way} {address}/32 {chance}" for address in own for way in ("-s", "-d"))
    yield _dropped(world, "loss", target, matches)


def delayed(world: LocalWorld, target: str) -> Iterator[Effect]:
    """Hold a replica's packets for a while."""
    own = _addresses(world, [world.plan.replica(target)])
    once = f"-m mark ! --mark {MARK:#x}"
    matches = (f"{way} {address}/32 {once}" for address in own for way in ("-s", "-d"))
    queue = zlib.crc32(f"{world.plan.instance} {target}".encode()) & 0xFFFF
    to = f"NFQUEUE --queue-num {queue}"
    dropped = _dropped(world, "delay", target, matches, to)
    yield on_packets.Delayed(dropped, queue, DELAY_MS)
