"""Files that are whole or absent: written aside, then renamed into place."""

from __future__ import annotations

import os
from pathlib import Path


def partial(path: Path) -> Path:
    """Name the file that a write interrupted by a kill leaves behind."""
    return path.with_name(f".{path.name}.new")


def write(path: Path, text: str, *, mode: int = 0o644, owner: int | None = None) -> None:
    """Replace a file's content, whole or not at all; its mode and owner hold from the start.

    `owner` is its user and its group. Raises: OSError.
    """
    fresh = partial(path)
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        if owner is not None:
            os.fchown(handle, owner, owner)
        os.fchmod(handle, mode)
    fresh.replace(path)


def overwrite(path: Path, text: str) -> None:
    """Change a file's content in place, for those who have it mounted or open; it is never empty.

    One call writes it whole, so who reads meanwhile finds every line that stays. Raises: OSError.
    """
    data = text.encode()
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(handle, data, 0)
        os.ftruncate(handle, len(data))
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file, and what an interrupted write of it left. Raises: OSError."""
    path.unlink(missing_ok=True)
    partial(path).unlink(missing_ok=True)
