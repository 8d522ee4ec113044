"""What does it cost to reach another host? Loopback, a bridge, raw VXLAN and Swarm's overlay.

The ladder's client and server (`bench.load.echo`) are put at the ends of each path by entering the
networks that exist: a Swarm task's, and one on a VXLAN made beside it, between the same two hosts.
Every path is loaded over a kept connection and with a new one for each request.

The hosts are simulated: their underlay is a bridge and two veth pairs, so a wire's own time is
not in any figure.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from bench.engine.arm import CPU, Contrast, Quantity
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from bench.questions.ladder import Climb
from bench.questions.rungs import engines, layers, sides
from bench.questions.rungs.course import KINDS, arm, settings
from bench.questions.rungs.pair import LadderPlace, Proof, serving, standing
from bench.questions.rungs.sides import BRIDGE, VTEP, Make
from twinstack.linux import process
from twinstack.linux.counters import packets
from twinstack.linux.session import cleared
from twinstack.model import bounds
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.swarm.nodes import SwarmNode
from twinstack.swarm.world import SwarmWorld

LOOPBACK, ONE_HOST, SAME = "loopback", "same host, bridge", "same host, Swarm"
RAW, SWARM = "two hosts, raw VXLAN", "two hosts, Swarm"
#: What is compared with what, and what the ratio says.
CONTRASTS = (
    (ONE_HOST, LOOPBACK, "A bridge and two veth pairs over loopback"),
    (RAW, ONE_HOST, "Raw VXLAN to another host over a bridge on one"),
    (SAME, ONE_HOST, "Swarm over a bridge, on one host"),
    (SWARM, RAW, "Swarm's overlay over raw VXLAN, to another host"),
)
TIME = Quantity("time", "time per request", lambda window: window.figures["time_us"], "µs")
_BRIDGE_NF, _WINDOW_S = "net.bridge.bridge-nf-call-iptables", 0.5


def ask(stack: Stack, *, how: Design, progress: Progress) -> Outcome:
    """Compare the paths on a Swarm, and leave it as it was.

    Raises: CannotTell when no two tasks are placed as needed; StepFailed.
    """
    world = stack.swarm()
    was_up = bool(world.facts().tasks)
    try:
        world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        climb = Climb(paths(world, stack.plan("tiered")), progress, {}, _WINDOW_S)
        climb.survey()
        experiment = Experiment(
            stage=climb.stage,
            contrasts=tuple(
                Contrast(arm(more, kind), arm(less, kind), f"{what}; {kind}")
                for more, less, what in CONTRASTS
                if not {more, less} & climb.left_out.keys()
                for kind in KINDS
            ),
            load="a small file by TCP, client and server on one CPU, connections kept or new",
            quantities=(CPU, TIME),
        )
        measured = run(experiment, replace(how, seconds=_WINDOW_S), progress)
    finally:
        if not was_up:
            world.down(progress=progress)
    left_out = [f"{path}: not measured: {why}" for path, why in climb.left_out.items()]
    return outcome_of(measured, "hosts", world.plan, left_out)


def paths(world: SwarmWorld, plan: Plan) -> Mapping[str, Make]:
    """Give what puts a pair at the ends of each path. Raises: CannotTell as `swarm_ends`."""
    own, beside, across = engines.swarm_ends(world)
    known = settings()
    return {
        LOOPBACK: partial(layers.place, setting=known["loopback"], plan=plan),
        ONE_HOST: partial(layers.place, setting=known["bridge"], plan=plan),
        SAME: partial(engines.between, own=own, other=beside),
        RAW: partial(raw_vxlan, nodes=world.nodes[:2], mark=plan.mark),
        SWARM: partial(engines.between, own=own, other=across),
    }


@contextmanager
def raw_vxlan(name: str, *, nodes: Sequence[SwarmNode], mark: str) -> Iterator[LadderPlace]:
    """Give a place on a VXLAN of our own between two hosts; what it adds to them is cleared."""
    enters = [shlex.join(node.enter) for node in nodes]
    added = [f"{enter} ip link delete {link}" for enter in enters for link in (VTEP, BRIDGE)]
    # An engine passes the frames of its host's bridges to iptables, which forwards nothing else.
    switch = [f"{enter} sysctl -qw {_BRIDGE_NF}" for enter in enters]
    with (
        sides.laid(name, 2, lambda *_: "") as pids,
        cleared("\n".join([*added, *(f"{each}=1" for each in switch)])),
    ):
        script = [f"{each}=0" for each in switch]
        own, other = (node.address for node in nodes)
        script.append(sides.vxlan_end(enters[0], own, other, pids[0], sides.CLIENT))
        script.append(sides.vxlan_end(enters[1], other, own, pids[1], sides.SERVER))
        script += [
            f"{enter} ip link set {link} alias {mark}"
            for enter in enters
            for link in (VTEP, BRIDGE)
        ]
        process.run(["sh", "-ec", "\n".join(script)])
        proof = Proof("its eth0", lambda _: packets(pids[0], "eth0"))
        asked, nets = sides.ASKED, (pids[0], pids[1], pids[0])
        with standing(name, serving(asked), asked, {name: proof}, networks=nets) as up:
            yield up
