"""What is uploaded to machines, in bundles: our code, root trees, packages.

A bundle is a directory named by its content. A machine keeps its bundles beside each other and
uses them where they are; one that is there is whole, and never changes.
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

#: Where a machine keeps its bundles, and the instances that use them.
BUNDLES = Path("/var/lib/twinstack/agent")
USERS = BUNDLES / ".used-by"
_REPOSITORY = Path(__file__).resolve().parents[2]
#: What the agent imports beside the standard library.
_PACKAGES = (
    *("jinja2", "markupsafe", "pydantic", "pydantic_core", "annotated_types"),
    *("typing_extensions", "typing_inspection", "yaml", "_yaml"),
)
#: Which parts of /srv/twinstack each role reads.
_READ: dict[Role, tuple[str, ...]] = {"python": ("services", "site"), "postgres": ("services",)}


@dataclass(frozen=True, slots=True)
class Bundle:
    """One directory to upload."""

    name: str  # with a digest of its content
    label: str  # for progress
    pack: Callable[[BinaryIO], None]  # writes it as tar.gz


def software_bundles(
    roles: Collection[Role], roots: Roots, installed: Installed
) -> dict[str, Bundle]:
    """Choose what replicas of these roles need, and nothing else.

    A bundle for each role's root tree, the supervisor's, and "srv" where a role reads
    /srv/twinstack.
    """
    directory = installed.directory
    bundles: dict[str, Bundle] = {role: _tree(role, roots) for role in sorted(roles)}
    bundles["supervisor"] = _installed("supervisor", directory, ("supervisor",))
    if members := tuple(sorted({part for role in roles for part in _READ.get(role, ())})):
        bundles["srv"] = _installed("-".join(members), directory, members)
    return bundles


def _installed(label: str, directory: Path, members: tuple[str, ...]) -> Bundle:
    return Bundle(f"{label}-{directory.name}", label, partial(_pack_tree, directory, members))


def _tree(role: Role, roots: Roots) -> Bundle:
    """Name a tree by its recipe and its packages' versions, which the recipe does not contain."""
    tree = roots.tree(role)
    versions = (tree / "var/lib/dpkg/status").read_bytes()
    digest = hashlib.sha256(roots.directory.name.encode() + b"\0" + versions).hexdigest()[:12]
    return Bundle(f"{role}-{digest}", f"root tree {role}", partial(_pack_tree, tree, (".",)))


def _pack_tree(directory: Path, members: tuple[str, ...], into: BinaryIO) -> None:
    """Pack with owners, modes and links as they are. Same as: tar -cz -C DIRECTORY MEMBER…"""
    options = ("--create", "--numeric-owner", "--use-compress-program=gzip -1")
    command = ["tar", *options, f"--directory={directory}", *members]
    done = subprocess.run(command, stdout=into, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        cause = done.stderr.decode(errors="replace").strip()[-300:]
        raise StepFailed(str(directory), "cannot be packed", cause)


@cache
def code_bundle() -> Bundle:
    """Give this very code, its templates, and what it imports."""
    files = tuple(sorted(_files(), key=lambda pair: pair[1]))
    digest = hashlib.sha256()
    for path, name in files:
        digest.update(name.encode() + path.read_bytes())
    return Bundle(f"code-{digest.hexdigest()[:12]}", "agent", partial(_pack_files, files))


def _pack_files(files: tuple[tuple[Path, str], ...], into: BinaryIO) -> None:
    with tarfile.open(fileobj=into, mode="w:gz", compresslevel=1) as tar:
        for path, name in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)


def _files() -> Iterator[tuple[Path, str]]:
    """List the files and their paths in the bundle."""
    tops = [_REPOSITORY / directory for directory in ("twinstack", "templates")]
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            origin = Path(spec.origin)
            tops.append(origin.parent if origin.name == "__init__.py" else origin)
    for top in tops:
        for path in (top, *top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, str(path.relative_to(top.parent))
