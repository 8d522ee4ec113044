"""Records as JSON files: read back as they were written, or an error; whole or absent.

A record is a dataclass, or a mapping of them, that its pydantic TypeAdapter reads and writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from twinstack.errors import CannotTell
from twinstack.linux import files

Record = TypeVar("Record")


def read(path: Path, kind: TypeAdapter[Record], remedy: str) -> Record | None:
    """Read a record; None for none. Raises: CannotTell for one that cannot be understood."""
    try:
        return kind.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise CannotTell(str(path), "cannot be read", str(error), "run this as root") from error
    except (OSError, ValueError) as error:
        raise CannotTell(str(path), "cannot be understood", str(error), remedy) from error


def write(path: Path, kind: TypeAdapter[Any], record: object) -> None:
    """Write a record, and its directory where that is absent. Raises: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, kind.dump_json(record, indent=1).decode())
