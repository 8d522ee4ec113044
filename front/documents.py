"""The JSON documents that several tasks print, as dataclasses: docs/schemas/ is made from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from twinstack.reconcile import Preview
from twinstack.world import ServiceState


@dataclass(frozen=True, slots=True)
class Services:
    """The state of each service."""

    services: tuple[ServiceState, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed; on several machines, each with its machine's name."""

    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removable:
    """What would be removed."""

    would_remove: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A step that is to be taken: why, and the commands that do the same."""

    step: str
    reason: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedChanges:
    """What `up` would do now."""

    steps: int  # that are planned, done ones too
    changes: tuple[PlannedChange, ...]
    unbuilt: tuple[str, ...]  # what must be built before the rest can be known


@dataclass(frozen=True, slots=True)
class PlannedUp(PlannedChanges):
    """What `up` would do now, or why it would change nothing."""

    refused: str = ""


@dataclass(frozen=True, slots=True)
class PlannedOn(PlannedChanges):
    """What `up` would do now on one of several hosts."""

    name: str
    unreached: str = ""  # why it cannot be asked


@dataclass(frozen=True, slots=True)
class HostPlans:
    """What `up` would do now, host by host."""

    hosts: tuple[PlannedOn, ...]


@dataclass(frozen=True, slots=True)
class Status(Services):
    """The state of each service, and what differs from the plan."""

    differences: tuple[PlannedChange, ...] = ()
    unbuilt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostsStatus(Services):
    """The state of each service, and what differs from the plan, host by host."""

    hosts: tuple[PlannedOn, ...] = ()


def pending(preview: Preview) -> PlannedChanges:
    """Give what `up` would do; pure."""
    return PlannedChanges(*_parts(preview))


def planned(preview: Preview) -> PlannedUp:
    """Give what `up` would do, or why it would refuse; pure."""
    return PlannedUp(*_parts(preview), preview.refused)


def pending_on(
    previews: Mapping[str, Preview], unreached: Iterable[tuple[str, object]] = ()
) -> tuple[PlannedOn, ...]:
    """Give what `up` would do on each host, and why others could not be asked; pure."""
    reached = [PlannedOn(*_parts(preview), host) for host, preview in previews.items()]
    return (*reached, *(PlannedOn(0, (), (), host, str(error)) for host, error in unreached))


def _parts(preview: Preview) -> tuple[int, tuple[PlannedChange, ...], tuple[str, ...]]:
    changes = (
        PlannedChange(change.step.name, change.reason, tuple(change.step.commands))
        for change in preview.changes
    )
    return preview.total, tuple(changes), tuple(preview.unbuilt)
