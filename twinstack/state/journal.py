"""The journal: what an instance may have created that cannot carry its mark.

It is written before the act, so a crash at any moment leaves a record of what may exist. It lies
under /run/twinstack/INSTANCE: a reboot removes it, and everything that it records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, TypeAdapter, with_config

from twinstack.linux import files
from twinstack.model.releases import Releases
from twinstack.state import records
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
    scale: tuple[tuple[str, int], ...] = ()  # with other numbers of replicas than declared
    releases: Releases = ()  # with other versions of services than the checkout's

    @property
    def empty(self) -> bool:
        return self == Journal()


def _not_empty(journal: Journal) -> Journal:
    """Refuse a file that records nothing: an empty journal is no file."""
    if journal.empty:
        raise ValueError("it records nothing")
    return journal


_JSON = TypeAdapter(Annotated[Journal, AfterValidator(_not_empty)])


def read_journal(paths: InstancePaths) -> Journal:
    """Read the journal; an absent one is empty.

    Raises: CannotTell when it is there and cannot be understood.
    """
    remedy = f'look at it, then remove it and run "invoke clean" (instance {paths.instance})'
    return records.read(paths.journal, _JSON, remedy) or Journal()


def write_journal(paths: InstancePaths, journal: Journal) -> None:
    """Record, whole or not at all; an empty journal is no file. Raises: OSError."""
    if journal.empty:
        files.remove(paths.journal)
    else:
        records.write(paths.journal, _JSON, journal)
