"""What an overlay was last asked to be, and cannot be seen from the hosts alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux import files
from twinstack.overlay.host_plans import underlay_instance
from twinstack.state.paths import InstancePaths

_NAME = "overlay.json"


@dataclass(frozen=True, slots=True)
class Record:
    """The words of the last `overlay.up`."""

    shape: str
    hosts: int
    lost: tuple[str, ...] = ()
    policy: bool = True
    limited: bool = True
    bare: bool = False


def read(instance: str) -> Record | None:
    """Read what was recorded; None when no overlay is up. Raises: CannotTell."""
    return read_from(InstancePaths(underlay_instance(instance)).run)


def read_from(directory: Path) -> Record | None:
    """Read what was recorded in a directory. Raises: CannotTell."""
    path = directory / _NAME
    try:
        told = json.loads(path.read_text())
        return Record(**{**told, "lost": tuple(told["lost"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        remedy = 'remove it and run "invoke overlay.down"'
        raise CannotTell(str(path), "cannot be understood", str(error), remedy) from error


def write(instance: str, record: Record) -> None:
    """Record, whole or not at all."""
    write_to(InstancePaths(underlay_instance(instance)).run, record)


def write_to(directory: Path, record: Record) -> None:
    """Record in a directory, whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    files.write(directory / _NAME, json.dumps(asdict(record), sort_keys=True))
