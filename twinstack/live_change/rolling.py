"""Change a running world without a failed request: restart and scale, one replica at a time.

A replica that is to end is drained first; one that starts is waited for until it is healthy and
every gateway lists it (`listing`). What is done to the world is its own `restart` and `up`: a scale
is another plan, and so is a release (`release`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from twinstack.errors import NotHealthy, StepFailed, TwinstackError
from twinstack.live_change.listing import await_listed, drain, is_drained, unlisted
from twinstack.model import scale as scales
from twinstack.model.plan import Replica
from twinstack.model.releases import Releases
from twinstack.model.scale import Scale
from twinstack.model.topology import Topology
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld


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
        wanted = scales.changed(self.topology, self.at().plan.scale, service, replicas)
        self.bring_to(self.settled(), self.at(wanted), service)

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
        if not world.main_pids():
            raise world.absence()
        preview = world.preview()
        if preview.unbuilt or preview.changes:
            first = preview.changes[0] if preview.changes else None
            cause = f"{first.step.name} {first.reason}" if first else preview.unbuilt[0]
            remedy = f'run "invoke {world.name}.up" first'
            raise TwinstackError(f"{world.name} world", "is not as planned", cause, remedy)
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


def _check_healthy(world: LocalWorld, names: Collection[str]) -> None:
    """Raises: NotHealthy for the first one of some replicas that is not."""
    for state in world.status() if names else ():
        if state.name in names and state.state != "healthy":
            remedy = f'see "invoke {world.name}.logs {state.name}"'
            raise NotHealthy(state.name, f"is {state.state}", state.detail, remedy)
