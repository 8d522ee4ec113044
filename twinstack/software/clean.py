"""Remove what all instances share: root trees, installed software, the wheelhouse."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from twinstack.software.building import remove_tree
from twinstack.software.roots import ROOTS, STATE
from twinstack.software.wheels import SOFTWARE

_RUN = Path("/run/twinstack")
_SHARED = frozenset({"roots", "software", "docker", "engine", "bench", "agent"})


def remove_software(repository: Path) -> tuple[str, ...]:
    """Remove what no instance needs any more, and name it; nothing while there is an instance.

    Call last, when the worlds are down. Raises: TwinstackError when something cannot be removed.
    """
    if instances():
        return ()
    removed = []
    for directory in (ROOTS, SOFTWARE, repository / "wheelhouse"):
        if remove_tree(directory):
            removed.append(f"software {directory}")
    for directory in (STATE, _RUN):
        with suppress(OSError):  # it stays while something is left in it
            directory.rmdir()
    return tuple(removed)


def instances() -> tuple[str, ...]:
    """Name the instances that still have data or a state on this host."""
    found = {
        entry.name
        for base in (STATE, _RUN)
        if base.is_dir()
        for entry in base.iterdir()
        if entry.is_dir() and entry.name not in _SHARED
    }
    return tuple(sorted(found))
