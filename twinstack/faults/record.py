"""The record of the faults that are in a world, written before each is put.

It lies under /run/twinstack/INSTANCE. What a killed `chaos` left is in it, and the next `up` or
`down` of that world takes it away first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from twinstack.errors import TwinstackError, raise_all
from twinstack.faults import on_packets, on_processes
from twinstack.linux import files
from twinstack.model.topology import WorldName
from twinstack.state import records
from twinstack.state.paths import InstancePaths

AnyEffect = Annotated[
    on_processes.Killed
    | on_processes.Suspended
    | on_processes.StoppedReplica
    | on_processes.Emptied
    | on_processes.EngineKilled
    | on_processes.Full
    | on_packets.LinkDown
    | on_packets.FirstChain
    | on_packets.Delayed
    | on_packets.Shaped,
    Field(discriminator="kind"),
]


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class PlacedFault:
    """A fault that is in a world, and what it is made of."""

    fault: str
    target: str
    effects: tuple[AnyEffect, ...]

    def __str__(self) -> str:
        return f"{self.fault}:{self.target}"


#: By number, in the order of putting.
_JSON = TypeAdapter(dict[int, PlacedFault])


def _path(instance: str, world: WorldName) -> Path:
    return InstancePaths(instance).run / f"faults-{world}.json"


def read(instance: str, world: WorldName) -> dict[int, PlacedFault]:
    """Read which faults are in a world. Raises: CannotTell."""
    path = _path(instance, world)
    return records.read(path, _JSON, f'look at it, remove it, then run "invoke {world}.up"') or {}


def write(instance: str, world: WorldName, placed: dict[int, PlacedFault]) -> None:
    """Record which faults are in a world; none is no file. Raises: OSError."""
    if placed:
        records.write(_path(instance, world), _JSON, placed)
    else:
        files.remove(_path(instance, world))


def left(instance: str, world: WorldName) -> tuple[str, ...]:
    """Name the faults that are in a world, for its `up` and `down`. Raises: CannotTell."""
    return tuple(map(str, read(instance, world).values()))


def repair(instance: str, world: WorldName) -> tuple[str, ...]:
    """Take away, under the world's lock, what a killed `chaos` left; name it.

    What was stopped is left to the `up` or `down` that calls this. Continues past failures.
    Raises: CannotTell; the failure, or SeveralFailed: its faults stay recorded.
    """
    failures: list[Exception] = []
    repaired: list[str] = []
    placed = read(instance, world)
    for number, fault in reversed(list(placed.items())):
        try:
            for effect in reversed(fault.effects):
                effect.end(None)
        except (TwinstackError, OSError) as error:
            failures.append(error)
        else:
            del placed[number]
            repaired.append(str(fault))
    write(instance, world, placed)
    raise_all(f"faults of {world}", failures)
    return tuple(repaired)
