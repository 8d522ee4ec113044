"""The options of the last `overlay.up`, which cannot be observed on the hosts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, TypeAdapter, with_config

from twinstack.model.plan import Plan
from twinstack.overlay.host_plans import Spread, machines_instance, underlay_instance
from twinstack.state import records
from twinstack.state.paths import InstancePaths


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """The options of an `overlay.up`."""

    shape: str = ""
    hosts: int | None = None
    lost: tuple[str, ...] = ()
    policy: bool = True
    limited: bool = True
    bare: bool = False

    @classmethod
    def of(cls, plan: Plan, spread: Spread, *, bare: bool) -> OverlayOptions:
        lost = tuple(sorted(spread.lost))
        return cls(plan.shape, len(spread.hosts), lost, plan.policy, plan.limited, bare)


def _with_shape(options: OverlayOptions) -> OverlayOptions:
    if not options.shape:
        raise ValueError("it names no shape")  # every `up` has one
    return options


_JSON = TypeAdapter(Annotated[OverlayOptions, AfterValidator(_with_shape)])


def read(instance: str, *, ssh: bool = False) -> OverlayOptions | None:
    """Read the options; None when no overlay is up. Raises: CannotTell."""
    return records.read(_path(instance, ssh), _JSON, 'remove it and run "invoke overlay.down"')


def write(instance: str, options: OverlayOptions, *, ssh: bool = False) -> None:
    """Write the options, of simulated hosts or of machines that ssh reaches."""
    records.write(_path(instance, ssh), _JSON, options)


def _path(instance: str, ssh: bool) -> Path:
    if ssh:
        return InstancePaths(machines_instance(instance)).lib / "overlay.json"
    return InstancePaths(underlay_instance(instance)).run / "overlay.json"
