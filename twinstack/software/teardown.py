"""Remove what all instances share: root trees, installed software, the wheelhouse."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from twinstack.software.building import remove_tree
from twinstack.software.roots import ROOTS
from twinstack.software.wheels import SOFTWARE
from twinstack.state import paths

_SHARED = frozenset({"roots", "software", "docker", "engine", "bench", "agent"})


def remove_software(repository: Path) -> tuple[str, ...]:
    """Remove what no instance needs any more, and name it; nothing while there is an instance.

    Call last, when the worlds are down. Raises: TwinstackError when something cannot be removed.
    """
    if instances():
        return ()
    shared = (ROOTS, SOFTWARE, repository / "wheelhouse")
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
