"""Change a running world without a failed request: restart and scale, one replica at a time.

A replica that is to end is drained first: it leaves the registry and goes on serving until no
gateway lists it, and no service that asked it remembers it. A replica that starts is waited for
until it is healthy and every gateway lists it. Both are seen at the gateways themselves, from
inside. What is done to the world is its own `restart` and `up`: a scale is another plan, and so is
a release (`twinstack.release`).
"""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from twinstack.errors import NotHealthy, StepFailed, TwinstackError
from twinstack.linux import child, procfs
from twinstack.model import scale as scales
from twinstack.model.plan import Replica
from twinstack.model.releases import Releases
from twinstack.model.runtimes import REGISTRY
from twinstack.model.scale import Scale
from twinstack.model.topology import Topology
from twinstack.observe.live import answers, probes
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: Asks an instance to leave the registry and serve on. Source: services/common/registry_client.py.
DRAIN = signal.SIGUSR1
#: Services learn of their peers about every two seconds, with jitter.
_PEERS_S = 2.5
#: Gateways ask the registry once a second.
_LISTED_WITHIN_S = 15.0
_POLL_S = 0.1
_ASK_S = 1.0


class Records(Protocol):
    """Gives a running world with another scale or other releases; None: those it has."""

    def __call__(
        self, scale: Scale | None = None, releases: Releases | None = None
    ) -> LocalWorld: ...


@dataclass(frozen=True, slots=True)
class Rolling:
    """Changes to a running world."""

    topology: Topology  # as declared
    at: Records
    timeout_s: float  # for a replica to be healthy
    progress: Progress

    def restart(self, name: str) -> None:
        """Restart the replicas of a service, or one replica, one after another.

        A service's only replica is replaced by a second one meanwhile, where it can have one.
        Raises: TwinstackError for a world that is not as planned; as `World.up` and `restart`.
        """
        world = self.settled()
        replicas = world.plan.replicas_of(name) or (world.plan.replica(name),)
        service = replicas[0].service
        before = world.plan.scale
        if not is_drained(replicas[0]):
            self.progress(f"{service} cannot be drained: requests that need it may fail meanwhile")
        try:
            if is_drained(replicas[0]) and len(world.plan.replicas_of(service)) == 1:
                self.progress(f"{service} has one replica: a second one serves meanwhile")
                self.scale(service, 2)
                world = self.at()
            for replica in replicas:
                with self._drained(world, (replica,)):
                    self.progress(f"{replica.name}: restarting")
                    world.restart(replica.name, timeout_s=self.timeout_s, progress=self.progress)
                await_listed(world, service)
        finally:
            world = self.at()
            if world.plan.scale != before:
                self.bring_to(world, self.at(before), service)

    def scale(self, service: str, replicas: int) -> None:
        """Change a service's number of replicas; it holds until the world is taken down.

        Raises: TwinstackError for a service that cannot be scaled so, and for a world that is not
        as planned; as `World.up`.
        """
        world = self.settled()
        wanted = scales.changed(self.topology, world.plan.scale, service, replicas)
        self.bring_to(world, self.at(wanted), service)

    def revive(self, world: LocalWorld, service: str) -> None:
        """Restart the replicas of a service that a killed command left drained."""
        for name in unlisted(world, service):
            self.progress(f"{name}: was drained, and returns")
            world.restart(name, timeout_s=self.timeout_s, progress=self.progress)
        await_listed(world, service)

    def bring_to(
        self,
        world: LocalWorld,
        target: LocalWorld,
        service: str,
        *,
        forced: bool = False,
        serving: Collection[str] = (),
    ) -> LocalWorld:
        """Bring a world to another plan, in which one service differs; give it.

        Replicas that end, or start again as another version, are drained first; `forced`: also
        where that fails. `serving` are those that must be healthy then.
        Raises: StepFailed; NotHealthy; as `World.up`.
        """
        kept = {(each.name, each.version) for each in target.plan.replicas_of(service)}
        own = world.plan.replicas_of(service)
        leaving = [each for each in own if (each.name, each.version) not in kept]
        with self._drained(world, leaving, forced=forced):
            _check_healthy(world, serving)
            target.up(timeout_s=self.timeout_s, progress=self.progress)
        await_listed(target, service)
        return target

    def settled(self) -> LocalWorld:
        """Give the world if it is up and as planned: what changes then is what was asked for."""
        world = self.at()
        up = f'run "invoke {world.name}.up" first'
        if not world.main_pids():
            raise TwinstackError(f"{world.name} world", "cannot be changed", "it is not up", up)
        preview = world.preview()
        if preview.unbuilt or preview.changes:
            first = preview.changes[0] if preview.changes else None
            cause = f"{first.step.name} {first.reason}" if first else preview.unbuilt[0]
            raise TwinstackError(f"{world.name} world", "is not as planned", cause, up)
        return world

    @contextmanager
    def _drained(
        self, world: LocalWorld, replicas: Sequence[Replica], *, forced: bool = False
    ) -> Iterator[None]:
        """Drain replicas; where the block fails, those that still run are restarted: they return.

        Raises: StepFailed when a gateway goes on asking them, unless it is `forced`.
        """
        leaving = [replica for replica in replicas if is_drained(replica)]
        if not leaving:
            yield
            return
        names = {replica.name for replica in leaving}
        before = world.main_pids()
        self.progress(f"{', '.join(sorted(names))}: draining")
        try:
            try:
                drain(world, names)
            except StepFailed as error:
                if not forced:
                    raise
                self.progress(f"{error}: replaced all the same")
            yield
        except BaseException:
            after = world.main_pids()
            for name in sorted(names):
                if name in after and after[name] == before.get(name):
                    world.restart(name, timeout_s=self.timeout_s, progress=self.progress)
            raise


def is_drained(replica: Replica) -> bool:
    """Tell whether a replica registers, so that it can leave."""
    return replica.runtime == "wsgi" and replica.service != REGISTRY


def _check_healthy(world: LocalWorld, names: Collection[str]) -> None:
    """Raises: NotHealthy for the first one of some replicas that is not."""
    for state in world.status() if names else ():
        if state.name in names and state.state != "healthy":
            remedy = f'see "invoke {world.name}.logs {state.name}"'
            raise NotHealthy(state.name, f"is {state.state}", state.detail, remedy)


def drain(world: LocalWorld, names: Collection[str]) -> None:
    """Let replicas leave the registry, and wait until nobody asks them. Raises: StepFailed."""
    begun = time.monotonic()
    for process in world.processes():
        if process.replica in names and procfs.catches(process.pid, DRAIN):
            with suppress(ProcessLookupError):
                os.kill(process.pid, DRAIN)
    _until(world, lambda listed: listed.isdisjoint(names), ", ".join(sorted(names)), "listed")
    time.sleep(max(0.0, begun + _PEERS_S - time.monotonic()))


def await_listed(world: LocalWorld, service: str) -> None:
    """Wait until every gateway lists every replica of a service. Raises: StepFailed."""
    replicas = world.plan.replicas_of(service)
    if is_drained(replicas[0]):
        names = {replica.name for replica in replicas}
        _until(world, names.issubset, service, "not listed")


def unlisted(world: LocalWorld, service: str) -> tuple[str, ...]:
    """Name the replicas of a service that a gateway does not list now: a killed command's."""
    pids = world.main_pids()
    gateways = [each for each in world.plan.replicas if each.runtime == "asgi"]
    found = [counted_by(each, pids[each.name]) for each in gateways if each.name in pids]
    listed = [{each.instance for each in counts.upstreams} for counts in found if counts]
    names = [replica.name for replica in world.plan.replicas_of(service)]
    return tuple(name for name in names if any(name not in each for each in listed))


def _until(
    world: LocalWorld, is_so: Callable[[frozenset[str]], bool], name: str, failure: str
) -> None:
    """Wait until what each gateway lists is so; one that does not run has nobody to ask."""
    pids = world.main_pids()

    def is_done(gateway: Replica) -> bool:
        counts = counted_by(gateway, pids[gateway.name])
        return counts is not None and is_so(frozenset(each.instance for each in counts.upstreams))

    waiting = [each for each in world.plan.replicas if each.runtime == "asgi" and each.name in pids]
    deadline = time.monotonic() + _LISTED_WITHIN_S
    while waiting := [gateway for gateway in waiting if not is_done(gateway)]:
        if time.monotonic() > deadline:
            cause = f"for {_LISTED_WITHIN_S:g} s by {waiting[0].name}"
            remedy = f'see "invoke {world.name}.logs {waiting[0].name}"'
            raise StepFailed(name, f"is {failure}", cause, remedy)
        time.sleep(_POLL_S)


def counted_by(gateway: Replica, pid: int) -> answers.GatewayCounts | None:
    """Ask a gateway, from inside, what it counted of its upstreams; None without an answer.

    Source: services/api_gateway/traffic_stats.py.
    """
    try:
        made = child.socket_in(Path(f"/proc/{pid}/ns/net"))
        link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=_ASK_S)
        with made:
            made.settimeout(_ASK_S)
            made.connect(("127.0.0.1", gateway.port))
            link.sock = made
            link.request("GET", probes.COUNTS_PATH)
            return answers.gateway(link.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None
