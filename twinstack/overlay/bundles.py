"""What is brought to machines: our code, root trees, packages; each piece named by its content.

A machine keeps them beside each other in one directory, from which they are used as they lie. A
piece that is there is whole, and what it is named by never changes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import tarfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO

from twinstack.errors import StepFailed
from twinstack.model.runtimes import Role
from twinstack.software.roots import Roots
from twinstack.software.wheels import Software as Installed

#: Where a machine keeps what was brought, and who uses it there.
AGENTS = Path("/var/lib/twinstack/agent")
USERS = AGENTS / ".used-by"
_REPOSITORY = Path(__file__).resolve().parents[2]
#: What the agent imports that is not Python's own.
_PACKAGES = (
    "_yaml",
    "annotated_types",
    "jinja2",
    "markupsafe",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
    "yaml",
)
#: Who has /srv/twinstack bound into its root, and what of it is read there.
_READ: dict[Role, tuple[str, ...]] = {"python": ("services", "site"), "postgres": ("services",)}


@dataclass(frozen=True, slots=True)
class Piece:
    """One directory of a machine: `what` it is for a reader, how it is packed for the way."""

    name: str
    what: str
    pack: Callable[[BinaryIO], None]


@dataclass(frozen=True, slots=True)
class Carried:
    """The software of one machine: the pieces by what they are for; `srv` where one needs it."""

    trees: dict[Role, Piece]
    supervisor: Piece
    srv: Piece | None

    @property
    def all(self) -> tuple[Piece, ...]:
        return (*self.trees.values(), self.supervisor, *([self.srv] if self.srv else []))

    @property
    def names(self) -> dict[str, object]:
        """Name them, as the agent is told."""
        return {
            "trees": {role: piece.name for role, piece in self.trees.items()},
            "supervisor": self.supervisor.name,
            "srv": self.srv.name if self.srv else None,
        }


def carried(roles: Collection[Role], roots: Roots, installed: Installed) -> Carried:
    """Choose what those who play these roles need, and nothing else."""
    read = {part for role in roles for part in _READ.get(role, ())}
    directory, members = installed.directory, tuple(sorted(read))
    return Carried(
        {role: _tree(role, roots) for role in sorted(roles)},
        _installed("supervisor", directory, ("supervisor",)),
        _installed("-".join(members), directory, members) if members else None,
    )


def _installed(what: str, directory: Path, members: tuple[str, ...]) -> Piece:
    return Piece(f"{what}-{directory.name}", what, partial(_pack_tree, directory, members))


def _tree(role: Role, roots: Roots) -> Piece:
    """Name a tree by its recipe and by the versions of its packages: a recipe names none."""
    tree = roots.tree(role)
    versions = (tree / "var/lib/dpkg/status").read_bytes()
    digest = hashlib.sha256(roots.directory.name.encode() + b"\0" + versions).hexdigest()[:12]
    return Piece(f"{role}-{digest}", f"root tree {role}", partial(_pack_tree, tree, (".",)))


def _pack_tree(directory: Path, members: tuple[str, ...], into: BinaryIO) -> None:
    """Pack with owners, modes and links as they are. Same as: tar -cz -C DIRECTORY MEMBER…"""
    words = [
        "tar",
        "--create",
        "--numeric-owner",
        "--use-compress-program=gzip -1",
        f"--directory={directory}",
        *members,
    ]
    done = subprocess.run(words, stdout=into, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise StepFailed(str(directory), "cannot be packed", said)


@cache
def code() -> Piece:
    """Give the code, its templates and what it imports, as it is here."""
    files = tuple(sorted(_files(), key=lambda pair: pair[1]))
    named = hashlib.sha256()
    for path, name in files:
        named.update(name.encode() + path.read_bytes())
    return Piece(f"code-{named.hexdigest()[:12]}", "agent", partial(_pack_files, files))


def _pack_files(files: tuple[tuple[Path, str], ...], into: BinaryIO) -> None:
    with tarfile.open(fileobj=into, mode="w:gz", compresslevel=1) as tar:
        for path, name in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)


def _files() -> Iterator[tuple[Path, str]]:
    for directory in ("twinstack", "templates"):
        for path in (_REPOSITORY / directory).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, str(path.relative_to(_REPOSITORY))
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        if origin.name != "__init__.py":
            yield origin, origin.name
            continue
        for path in origin.parent.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, f"{package}/{path.relative_to(origin.parent)}"
