"""What a topology names, read without its form: for the shell, which completes it, and for logs.

The form brings pydantic, which takes longer than all the rest of a task that only needs names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from twinstack.model import names


@dataclass(frozen=True, slots=True)
class OutlinedReplica:
    """A replica by its names."""

    name: str
    service: str


@dataclass(frozen=True, slots=True)
class Outline:
    """The names of an instance's plan."""

    instance: str
    replicas: tuple[OutlinedReplica, ...]  # in the plan's order
    bridges: Mapping[str, tuple[str, ...]]  # of each shape

    @property
    def here(self) -> tuple[OutlinedReplica, ...]:
        """Give the replicas on this host: all."""
        return self.replicas

    def replica(self, name: str) -> OutlinedReplica:
        """Give a replica by its name. Raises: WrongUse that lists the names there are."""
        return names.named(self.replicas, name)


def outline(
    topology: Path, instance: str = "", scale: Mapping[str, int] = MappingProxyType({})
) -> Outline | None:
    """Read the names; None when the file cannot be read: the form says why."""
    try:
        written = yaml.load(topology.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        counts = {
            str(service): scale.get(service, int(of.get("replicas", 1)))
            for service, of in written["services"].items()
        }
        bridges = {str(name): _bridges(shape) for name, shape in written["shapes"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return None
    replicas = (
        OutlinedReplica(names.replica_name(service, number), service)
        for service, count in counts.items()
        for number in range(1, count + 1)
    )
    return Outline(instance, tuple(replicas), bridges)


def _bridges(shape: Any) -> tuple[str, ...]:
    return tuple(str(segment["bridge"]) for segment in shape["segments"].values())


def replica_names(topology: Path) -> list[str]:
    """Name the services, and then their other replicas; none when the file cannot be read."""
    found = outline(topology)
    replicas = found.replicas if found else ()
    ordered = sorted(replicas, key=lambda replica: replica.name != replica.service)
    return [replica.name for replica in ordered]
