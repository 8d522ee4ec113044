"""Remove what all instances share: root trees, installed software, the wheelhouse."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from twinstack.software.building import remove_tree
from twinstack.software.roots import ROOTS
from twinstack.software.wheels import SOFTWARE
from twinstack.state import paths

_SHARED = frozenset({"roots", "software", "docker", "engine", "bench", "agent"})


def removable(repository: Path, own: Collection[str]) -> tuple[Path, ...]:
    """List what no instance but our own needs; nothing while there is another one."""
    if set(instances()).difference(own):
        return ()
    shared = (ROOTS, SOFTWARE, repository / "wheelhouse")
    return tuple(directory for directory in shared if directory.exists())


def remove_software(repository: Path, own: Collection[str]) -> tuple[str, ...]:
    """Remove what no instance but our own needs, and name it.

    Call last, when their worlds are down. Raises: TwinstackError when something cannot be removed.
    """
    shared = removable(repository, own)
    removed = tuple(f"software {directory}" for directory in shared if remove_tree(directory))
    for directory in (paths.LIB, paths.RUN):
        with suppress(OSError):  # it is not empty
            directory.rmdir()
    return removed


def instances() -> tuple[str, ...]:
    """Name the instances that still have data or a state on this host."""
    bases = (base for base in (paths.LIB, paths.RUN) if base.is_dir())
    names = {entry.name for base in bases for entry in base.iterdir() if entry.is_dir()}
    return tuple(sorted(names - _SHARED))
