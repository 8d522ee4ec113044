"""Python packages: one wheelhouse, from which every world installs the services' packages.

`wheelhouse/` in the repository holds wheels for the interpreter of the root trees (Debian's, not
the one that runs this). The Docker build installs from it; `ensure_software` installs the same
wheels beside a copy of `services/` for the namespace world.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import Missing, StepFailed
from twinstack.linux.process import run
from twinstack.model.runtimes import SRV
from twinstack.software.building import aside, locked, remove_tree
from twinstack.software.roots import Roots
from twinstack.state.paths import LIB

SOFTWARE = LIB / "software"
PYTHON = "/usr/bin/python3"
TOOLS = Path(__file__).with_name("requirements-tools.txt")
PIP_TIMEOUT_S = 600.0
_COMPLETE = ".complete"
_NOT_SHIPPED = ("__pycache__", "*.pyc", "*.md", "tests")
_TAG = "import sys, sysconfig; print(sys.implementation.cache_tag, sysconfig.get_platform())"


@dataclass(frozen=True, slots=True)
class Software:
    """What the namespace world binds at /srv/twinstack, and the supervisor's own packages."""

    directory: Path  # site: the services' packages; services: the applications

    @property
    def supervisor(self) -> Path:
        """The supervisor's own packages, which no service sees."""
        return self.directory / "supervisor"


def ensure_wheelhouse(repository: Path, progress: Callable[[str], None]) -> Path:
    """Give the wheelhouse, filled by pip when it is incomplete or its lists have changed.

    Raises: Missing without Debian's Python; StepFailed when a wheel cannot be downloaded.
    """
    house = repository / "wheelhouse"
    if find_wheelhouse(repository):
        return house
    with locked(house, progress):
        if find_wheelhouse(repository):
            return house
        progress("wheelhouse: fetching wheels for the services")
        fresh = house / ".building"
        remove_tree(fresh)
        fresh.mkdir()
        try:
            # pip is a wheel too: Debian's python3 brings none, nor may it be installed into.
            _pip(("-m", "pip"), "download", "--no-deps", "--dest", str(fresh), *_only("pip"))
            lists = (word for file in _lists(repository) for word in ("-r", str(file)))
            where = ("--dest", str(fresh), "--find-links", str(house))
            _pip((_pip_in(fresh),), "download", "--only-binary=:all:", *where, *lists)
            (house / _COMPLETE).unlink(missing_ok=True)
            for old in house.glob("*.whl"):
                old.unlink()
            for wheel in fresh.glob("*.whl"):
                wheel.rename(house / wheel.name)
        finally:
            remove_tree(fresh)
        (house / _COMPLETE).write_text(_stamp(repository))
    return house


def find_wheelhouse(repository: Path) -> Path | None:
    """Give the wheelhouse if it is complete, of the present lists and for Debian's Python.

    Downloads nothing.
    """
    stamp = repository / "wheelhouse" / _COMPLETE
    is_current = stamp.is_file() and stamp.read_text() == _stamp(repository)
    return stamp.parent if is_current else None


def ensure_software(repository: Path, roots: Roots, progress: Callable[[str], None]) -> Software:
    """Give the installed packages and applications, installed again when their content changes.

    Raises: as `ensure_wheelhouse`; StepFailed when the host's Python is not the trees'.
    """
    house = ensure_wheelhouse(repository, progress)
    software = Software(SOFTWARE / _name(repository, house))
    if software.directory.is_dir():
        return software
    same_python(roots)
    with locked(SOFTWARE, progress):
        if not software.directory.is_dir():
            progress("software: installing the services' packages")
            with aside(software.directory) as building:
                _install(repository, house, building)
    return software


def find_software(repository: Path) -> Software | None:
    """Give the installed software if it is of the present content; installs nothing."""
    house = find_wheelhouse(repository)
    if house is None:
        return None
    software = Software(SOFTWARE / _name(repository, house))
    return software if software.directory.is_dir() else None


def _name(repository: Path, house: Path) -> str:
    return _digest((*sorted(house.glob("*.whl")), *service_files(repository), Path(__file__)))[:12]


def _stamp(repository: Path) -> str:
    return f"{Path(PYTHON).resolve().name} {_digest(_lists(repository))}"


def _lists(repository: Path) -> tuple[Path, Path]:
    return repository / "services/requirements.txt", TOOLS


def service_files(repository: Path) -> list[Path]:
    """List the files of the applications that are shipped, in a fixed order."""

    def is_shipped(path: Path) -> bool:
        own = path.relative_to(repository)  # the rules are for folders of ours, not for those above
        parts = (own, *own.parents)
        return not any(part.match(rule) for rule in _NOT_SHIPPED for part in parts)

    paths = (repository / "services").rglob("*")
    return sorted(path for path in paths if path.is_file() and is_shipped(path))


def same_python(roots: Roots) -> None:
    """Check that the host's Debian Python is that of the trees. Raises: Missing, StepFailed."""
    if not Path(PYTHON).exists():
        raise Missing(PYTHON, "is missing", "", 'run "make setup"')
    ours = run(["chroot", str(roots.tree("python")), PYTHON, "-c", _TAG]).stdout
    hosts = run([PYTHON, "-I", "-c", _TAG]).stdout
    if ours != hosts:
        raise StepFailed(
            PYTHON,
            "cannot install for the root trees",
            f"it is {hosts.strip()}, theirs is {ours.strip()}",
            "use the release's own Python",
        )


def _install(repository: Path, house: Path, into: Path) -> None:
    options = ["--no-index", "--no-compile", "--no-warn-script-location", "--find-links"]
    services = ("-r", str(repository / "services/requirements.txt"))
    for part, packages in (("site", services), ("supervisor", _only("supervisor"))):
        target = into / part
        words = ("install", *options, str(house), "--target", str(target), *packages)
        _pip((_pip_in(house),), *words)
        remove_tree(target / "bin")  # scripts name an interpreter; nothing calls them
    not_shipped = shutil.ignore_patterns(*_NOT_SHIPPED)
    shutil.copytree(repository / "services", into / "services", ignore=not_shipped)
    compile_modules(into)


def compile_modules(directory: Path) -> None:
    """Compile what a service will see as /srv/twinstack, and let every user read it."""
    # Unchecked: the trees are read-only, so the sources' times do not matter.
    compiling = f"{PYTHON} -m compileall -q -j 0 --invalidation-mode unchecked-hash"
    where = ["-s", str(directory), "-p", SRV, str(directory)]
    run([*compiling.split(), *where], timeout_s=PIP_TIMEOUT_S)
    run(["chmod", "-R", "a+rX,go-w", str(directory)])


def _only(package: str) -> tuple[str, ...]:
    lines = TOOLS.read_text().splitlines()
    return tuple(line for line in lines if line.startswith(f"{package}=="))


def _pip_in(house: Path) -> str:
    """Give pip as a program: its wheel can be run without being installed."""
    return str(next(house.glob("pip-*.whl")) / "pip")


def _pip(runner: tuple[str, ...], *words: str) -> None:
    """Run pip under Debian's Python; to bootstrap it, the pip of the Python that runs this."""
    python = sys.executable if runner == ("-m", "pip") else PYTHON
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    done = run([python, *runner, *words, *quiet], timeout_s=PIP_TIMEOUT_S, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise StepFailed(
            "wheelhouse" if words[0] == "download" else "software",
            f"pip {words[0]} failed",
            " / ".join(errors[-2:]) or done.stderr[-300:],
            "check this machine's way to its Python package index, then run it again",
        )


def _digest(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
