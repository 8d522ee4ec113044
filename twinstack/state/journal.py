"""The journal: what an instance may have created that cannot carry its mark.

It is written before the act, so a crash at any moment leaves a record of what may exist. It lies
under /run/twinstack/INSTANCE: a reboot removes it, and everything that it records.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pydantic import ConfigDict, TypeAdapter, with_config

from twinstack.errors import CannotTell
from twinstack.linux import files
from twinstack.state.paths import InstancePaths


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class Journal:
    """What cannot carry our mark, or not from its first moment, and how `up` was last asked."""

    intended: tuple[str, ...] = ()  # namespaces and links that an `up` set out to create
    mounted_pins: bool = False  # we made /run/netns a mount
    shape: str | None = None  # of the plan that was last brought up
    limited: bool = True  # with CPU, memory and pids limits
    tables: tuple[str, ...] = ()  # iptables tables that nobody used before us
    bare: bool = False  # without its processes
    policy: bool = True  # with its flows enforced

    @property
    def empty(self) -> bool:
        return self == Journal()


def read_journal(paths: InstancePaths) -> Journal:
    """Read the journal; an absent one is empty.

    Raises: CannotTell when it is there and cannot be understood.
    """
    path = paths.run / "journal.json"
    try:
        journal = TypeAdapter(Journal).validate_json(path.read_bytes())
        if journal.empty:  # that would be no file
            raise ValueError("it records nothing")
    except FileNotFoundError:
        return Journal()
    except (OSError, ValueError) as error:
        remedy = f'look at it, then remove it and run "invoke clean" (instance {paths.instance})'
        raise CannotTell(str(path), "cannot be understood", str(error), remedy) from error
    return journal


def write_journal(paths: InstancePaths, journal: Journal) -> None:
    """Record, whole or not at all; an empty journal is no file. Raises: OSError."""
    path = paths.run / "journal.json"
    if journal.empty:
        files.remove(path)
        return
    paths.run.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(asdict(journal), indent=1, sort_keys=True))
