"""The options of the last `overlay.up`, which cannot be observed on the hosts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, with_config

from twinstack.errors import CannotTell
from twinstack.linux import files
from twinstack.model.plan import Plan
from twinstack.overlay.host_plans import Spread, machines_instance, underlay_instance
from twinstack.state.paths import InstancePaths

_NAME = "overlay.json"


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


def read(instance: str, *, ssh: bool = False) -> OverlayOptions | None:
    """Read the options; None when no overlay is up. Raises: CannotTell."""
    path = _path(instance, ssh)
    try:
        options = TypeAdapter(OverlayOptions).validate_json(path.read_bytes())
        if not options.shape:  # every `up` has one
            raise ValueError("it names no shape")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        remedy = 'remove it and run "invoke overlay.down"'
        raise CannotTell(str(path), "cannot be understood", str(error), remedy) from error
    return options


def write(instance: str, options: OverlayOptions, *, ssh: bool = False) -> None:
    """Write the options, of simulated hosts or of machines that ssh reaches."""
    path = _path(instance, ssh)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(asdict(options), sort_keys=True))


def _path(instance: str, ssh: bool) -> Path:
    if ssh:
        return InstancePaths(machines_instance(instance)).lib / _NAME
    return InstancePaths(underlay_instance(instance)).run / _NAME
