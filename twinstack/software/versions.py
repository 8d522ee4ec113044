"""Other versions of the services' applications: copies of a `services/` directory, by their digest.

A world keeps those that it runs in a directory of its own, each as VERSION/services. The packages
are the same for all: a version with another list of packages is refused.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from twinstack.errors import TwinstackError, WrongUse
from twinstack.software.building import aside, remove_tree
from twinstack.software.wheels import compile_modules, service_files

_NAME_LENGTH = 12


def check_source(source: Path, repository: Path, module: str) -> None:
    """Refuse a directory that is no version of our services. Raises: TwinstackError.

    `module` is where the service that is to be released has its application.
    """
    remedy = "give the services/ directory of another checkout"
    file = source / Path(*module.partition(":")[0].split(".")[1:]).with_suffix(".py")
    if source.name != "services" or not file.is_file():
        raise WrongUse(str(source), "cannot be released", f"it lacks {file.name}", remedy)
    ours, theirs = (home / "requirements.txt" for home in (repository / "services", source))
    if not theirs.is_file() or theirs.read_bytes() != ours.read_bytes():
        cause = "its requirements.txt differs from this checkout's, and a release brings no package"
        remedy = f'bring {ours} to the same packages, then run "invoke net.up" or "docker.up"'
        raise WrongUse(str(source), "cannot be released", cause, remedy)


def name_of(source: Path) -> str:
    """Name the version that a `services/` directory holds: a digest of what would be shipped."""
    total = hashlib.sha256()
    for file in service_files(source.parent):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file.relative_to(source).as_posix()}\0{content}\n".encode())
    return total.hexdigest()[:_NAME_LENGTH]


def keep(source: Path, directory: Path) -> str:
    """Copy a version into a world's directory, compiled, and name it. Raises: StepFailed."""
    name = name_of(source)
    if not _is_whole(directory / name):
        remove_tree(directory / name)
        with aside(directory / name) as building:
            for file in service_files(source.parent):
                copy = building / "services" / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
            compile_modules(building)
    return name


def check_kept(directory: Path, names: Iterable[str]) -> None:
    """Check that a world's versions are whole. Raises: TwinstackError for one that is not."""
    for name in sorted(set(names)):
        if not _is_whole(directory / name):
            cause = f"{directory / name} is gone, or was changed"
            remedy = "take the world down, then up: it comes with this checkout's version"
            raise TwinstackError(f"version {name}", "cannot be run", cause, remedy)


def _is_whole(directory: Path) -> bool:
    services = directory / "services"
    return services.is_dir() and name_of(services) == directory.name
