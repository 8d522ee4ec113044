"""The worlds that a lesson can be in: what it asks of one, and how each of the three does it.

Two are namespace worlds, on this host and on one of the overlay's. The Docker world is only read:
what a lesson takes away there, it takes away by its own commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import TypeAdapter

from twinstack.course import kernel
from twinstack.course.kernel import PlanNames
from twinstack.course.lesson import AnyStep, Assignment, Lesson, WorldOfLesson
from twinstack.model import bounds
from twinstack.model.plan import Plan
from twinstack.namespaces import world as namespaces
from twinstack.reconcile import Progress
from twinstack.state.journal import Journal, read_journal
from twinstack.state.paths import InstancePaths

if TYPE_CHECKING:  # a lesson loads only the world that it is in
    from twinstack.compose.world import DockerWorld
    from twinstack.namespaces.world import NamespaceWorld
    from twinstack.overlay.world import Overlay

#: Enough to be apart.
_HOSTS = 2
#: How a Docker world that enforces no policy is written down, behind its shape.
_OPEN = "open"
_JOURNAL = TypeAdapter(Journal)
_Result = TypeVar("_Result")


class Ground(Protocol):
    """A world as a lesson uses it. Without its plan `former`, `reclaim` and `restore` work."""

    @property
    def plan(self) -> Plan:
        """What is up while the lesson lasts. Raises: TopologyError."""

    @property
    def enter(self) -> str:
        """The words that run a command on the lesson's host; "": it is this one."""

    def former(self) -> str:
        """Write down how the world is up now; "" for not at all."""

    def free_names(self) -> PlanNames:
        """Give the plan's names. Raises: NotOurs for one that a stranger has."""

    def up(self, progress: Progress) -> None:
        """Bring all of the plan about."""

    def look(self) -> tuple[Sequence[AnyStep], Any]:
        """Give the plan's steps, and the facts to compare them with, whoever made what is there."""

    def take_away(self, assignments: Sequence[Assignment]) -> None:
        """Remove a lesson's parts."""

    def reclaim(self, noted: PlanNames) -> None:
        """Remove what was made by hand under the noted names."""

    def restore(self, former: str, progress: Progress) -> tuple[str, ...]:
        """Let the world be as `former` wrote it down; name what was removed."""


class Worlds(Protocol):
    """What gives an instance's worlds: `twinstack.stack.Stack`."""

    @property
    def instance(self) -> str:
        """Its name."""

    @property
    def net(self) -> Callable[..., NamespaceWorld]:
        """Gives the namespace world."""

    @property
    def docker(self) -> Callable[..., DockerWorld]:
        """Gives the Docker world."""

    @property
    def overlay(self) -> Callable[..., Overlay]:
        """Gives the stack on several hosts."""

    def docker_shape(self) -> str | None:
        """Give the shape of the Docker world that is up, or None."""


@dataclass(frozen=True)
class _Base:
    worlds: Worlds
    lesson: Lesson
    services: bool

    @property
    def instance(self) -> str:
        return self.worlds.instance

    @property
    def bare(self) -> bool:
        return not self.services

    @property
    def enter(self) -> str:
        return ""

    @property
    def _options(self) -> dict[str, Any]:
        return {"limited": True, "bare": self.bare, "policy": self.lesson.policy}


@dataclass(frozen=True)
class NetGround(_Base):
    """The namespace world of this host."""

    @cached_property
    def _world(self) -> NamespaceWorld:
        return self.worlds.net(self.lesson.shape, **self._options)

    @property
    def plan(self) -> Plan:
        return self._world.plan

    def former(self) -> str:
        journal = read_journal(InstancePaths(self.instance))
        return "" if journal.shape is None else _JOURNAL.dump_json(journal).decode()

    def free_names(self) -> PlanNames:
        return kernel.free_names(self._world)

    def up(self, progress: Progress) -> None:
        self._world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)

    def look(self) -> tuple[Sequence[AnyStep], Any]:
        return kernel.look(self._world)

    def take_away(self, assignments: Sequence[Assignment]) -> None:
        kernel.take_away(self._world, assignments)

    def reclaim(self, noted: PlanNames) -> None:
        kernel.reclaim(self.instance, noted)

    def restore(self, former: str, progress: Progress) -> tuple[str, ...]:
        if not former:
            return namespaces.down(self.instance, progress=progress)
        before = _JOURNAL.validate_json(former)
        self.worlds.net(
            before.shape,
            limited=before.limited,
            bare=before.bare,
            policy=before.policy,
            scale=before.scale,
            releases=before.releases,
        ).up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        return ()


@dataclass(frozen=True)
class OverlayGround(_Base):
    """The namespace world of one of the overlay's hosts."""

    @cached_property
    def _overlay(self) -> Overlay:
        return self.worlds.overlay(_HOSTS, self.lesson.shape, lost=frozenset(), **self._options)

    @cached_property
    def _world(self) -> NamespaceWorld:
        return self._overlay.on_host(self._overlay.spread.host(self.lesson.host))

    @property
    def plan(self) -> Plan:
        return self._world.plan

    @property
    def enter(self) -> str:
        from twinstack.overlay import hosts

        return " ".join(hosts.pins_of(self.instance, self.lesson.host).enter)

    def _there(self, work: Callable[[], _Result]) -> _Result:
        from twinstack.overlay import hosts

        return hosts.on(self.instance, self.lesson.host, work)

    def former(self) -> str:
        from twinstack.overlay import record

        options = record.read(self.instance)
        return "" if options is None else TypeAdapter(type(options)).dump_json(options).decode()

    def free_names(self) -> PlanNames:
        from twinstack.overlay import hosts

        kernel.free_names(self._overlay.underlay)
        if self.lesson.host not in hosts.present(self.instance):
            return kernel.all_names(self._world)  # free: it does not exist yet
        return self._there(partial(kernel.free_names, self._world))

    def up(self, progress: Progress) -> None:
        self._overlay.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)

    def look(self) -> tuple[Sequence[AnyStep], Any]:
        return self._there(partial(kernel.look, self._world))

    def take_away(self, assignments: Sequence[Assignment]) -> None:
        self._there(partial(kernel.take_away, self._world, assignments))

    def reclaim(self, noted: PlanNames) -> None:
        from twinstack.overlay import hosts
        from twinstack.overlay.host_plans import host_instance

        if self.lesson.host in hosts.present(self.instance):
            own = host_instance(self.instance, self.lesson.host)
            self._there(partial(kernel.reclaim, own, noted))

    def restore(self, former: str, progress: Progress) -> tuple[str, ...]:
        from twinstack.overlay.record import OverlayOptions
        from twinstack.overlay.teardown import down

        if not former:
            return down(self.instance, progress=progress)
        before = TypeAdapter(OverlayOptions).validate_json(former)
        self.worlds.overlay(
            before.hosts,
            before.shape,
            lost=frozenset(before.lost),
            limited=before.limited,
            bare=before.bare,
            policy=before.policy,
        ).up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        return ()


@dataclass(frozen=True)
class DockerGround(_Base):
    """The Docker world: its containers and networks as the engine has them."""

    @cached_property
    def _world(self) -> DockerWorld:
        return self.worlds.docker(self.lesson.shape, policy=self.lesson.policy)

    @property
    def plan(self) -> Plan:
        return self._world.plan

    def former(self) -> str:
        from twinstack.compose.observe import is_enforced

        shape = self.worlds.docker_shape()
        return f"{shape} {'' if is_enforced(self.instance) else _OPEN}".strip() if shape else ""

    def free_names(self) -> PlanNames:
        return PlanNames()  # `up` refuses what is a stranger's; nothing is removed by name

    def up(self, progress: Progress) -> None:
        self._world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)

    def look(self) -> tuple[Sequence[AnyStep], Any]:
        return self._world.look()

    def take_away(self, assignments: Sequence[Assignment]) -> None:
        """Do nothing: the parts' own commands do."""

    def reclaim(self, noted: PlanNames) -> None:
        """Do nothing: the parts' own commands do."""

    def restore(self, former: str, progress: Progress) -> tuple[str, ...]:
        if not former:
            return self._world.down(progress=progress)
        shape, _, policy = former.partition(" ")
        self.worlds.docker(shape, policy=policy != _OPEN).up(
            timeout_s=bounds.UP_TIMEOUT_S, progress=progress
        )
        return ()


GROUNDS: dict[WorldOfLesson, Callable[[Worlds, Lesson, bool], Ground]] = {
    "net": NetGround,
    "docker": DockerGround,
    "overlay": OverlayGround,
}
