"""Python packages: one wheelhouse, from which both worlds install the services' packages.

`wheelhouse/` in the repository holds wheels for the interpreter of the root trees (Debian's, not
the one that runs this). The Docker build installs from it; `ensure_software` installs the very
same wheels beside a copy of `services/` for the namespace world.
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
from twinstack.software.building import aside, locked, remove_tree
from twinstack.software.roots import STATE, Roots

SOFTWARE = STATE / "software"
PYTHON = "/usr/bin/python3"
TOOLS = Path(__file__).with_name("requirements-tools.txt")
PIP_TIMEOUT_S = 600.0
_WHOLE = ".complete"
_NOT_SHIPPED = ("__pycache__", "*.pyc", "*.md", "tests")
_TAG = "import sys, sysconfig; print(sys.implementation.cache_tag, sysconfig.get_platform())"


@dataclass(frozen=True, slots=True)
class Software:
    """What the namespace world binds at /srv/twinstack, and the supervisor's own packages."""

    directory: Path

    @property
    def site(self) -> Path:
        """Give the installed packages."""
        return self.directory / "site"

    @property
    def services(self) -> Path:
        """Give the applications."""
        return self.directory / "services"

    @property
    def supervisor(self) -> Path:
        """Give the supervisor's own packages, which no service sees."""
        return self.directory / "supervisor"


def ensure_wheelhouse(repository: Path, progress: Callable[[str], None]) -> Path:
    """Give the wheelhouse, filled by pip when it is not whole or its lists have changed.

    Raises: Missing without Debian's Python; StepFailed when a wheel cannot be had.
    """
    house = repository / "wheelhouse"
    lists = (repository / "services/requirements.txt", TOOLS)
    wanted = _wanted(repository)
    if _stamp(house) == wanted:
        return house
    with locked(house, progress):
        if _stamp(house) == wanted:
            return house
        progress("wheelhouse: fetching wheels for the services")
        fresh = house / ".building"
        remove_tree(fresh)
        fresh.mkdir()
        try:
            # pip is a wheel too: Debian's python3 brings none, nor may it be installed into.
            pip = next(line for line in TOOLS.read_text().splitlines() if line.startswith("pip=="))
            _pip(("-m", "pip"), "download", "--no-deps", "--dest", str(fresh), pip)
            _pip(
                (str(_pip_wheel(fresh) / "pip"),),
                "download",
                "--only-binary=:all:",
                "--dest",
                str(fresh),
                "--find-links",
                str(house),
                *(word for file in lists for word in ("-r", str(file))),
            )
            (house / _WHOLE).unlink(missing_ok=True)
            for old in house.glob("*.whl"):
                old.unlink()
            for wheel in fresh.glob("*.whl"):
                wheel.rename(house / wheel.name)
        finally:
            remove_tree(fresh)
        (house / _WHOLE).write_text(wanted)
    return house


def find_wheelhouse(repository: Path) -> Path | None:
    """Give the wheelhouse if it is whole and of today's lists; fetches nothing."""
    house = repository / "wheelhouse"
    return house if _stamp(house) == _wanted(repository) else None


def ensure_software(
    repository: Path, roots: Roots, progress: Callable[[str], None], base: Path = SOFTWARE
) -> Software:
    """Give the installed packages and applications, made anew when their content changes.

    Raises: as `ensure_wheelhouse`; StepFailed when the host's Python is not the trees'.
    """
    house = ensure_wheelhouse(repository, progress)
    software = Software(base / _name(repository, house))
    if software.directory.is_dir():
        return software
    same_python(roots)
    with locked(base, progress):
        if not software.directory.is_dir():
            progress("software: installing the services' packages")
            with aside(software.directory) as building:
                _install(repository, house, Software(building))
    return software


def find_software(repository: Path, base: Path = SOFTWARE) -> Software | None:
    """Give the installed software if it is there and of today's content; builds nothing."""
    house = find_wheelhouse(repository)
    if house is None:
        return None
    software = Software(base / _name(repository, house))
    return software if software.directory.is_dir() else None


def _name(repository: Path, house: Path) -> str:
    return _digest((*sorted(house.glob("*.whl")), *service_files(repository), Path(__file__)))[:12]


def _wanted(repository: Path) -> str:
    return _digest((repository / "services/requirements.txt", TOOLS))


def service_files(repository: Path) -> list[Path]:
    """List the files of the applications that are shipped, in a fixed order."""
    found = (repository / "services").rglob("*")
    return sorted(
        path
        for path in found
        if path.is_file()
        and not any(part.match(rule) for rule in _NOT_SHIPPED for part in (path, *path.parents))
    )


def same_python(roots: Roots) -> None:
    """Check that the host's Debian Python is that of the trees. Raises: Missing, StepFailed."""
    if not Path(PYTHON).exists():
        raise Missing(PYTHON, "is not there", "", 'run "make setup"')
    ours = run(["chroot", str(roots.tree("python")), PYTHON, "-c", _TAG]).stdout
    hosts = run([PYTHON, "-I", "-c", _TAG]).stdout
    if ours != hosts:
        raise StepFailed(
            PYTHON,
            "cannot install for the root trees",
            f"it is {hosts.strip()}, theirs is {ours.strip()}",
            "use the release's own Python",
        )


def _install(repository: Path, house: Path, into: Software) -> None:
    pip = (str(_pip_wheel(house) / "pip"),)
    for target, chosen in (
        (into.site, ("-r", str(repository / "services/requirements.txt"))),
        (into.supervisor, _only("supervisor")),
    ):
        _pip(
            pip,
            "install",
            "--no-index",
            "--find-links",
            str(house),
            "--no-compile",
            "--no-warn-script-location",
            "--target",
            str(target),
            *chosen,
        )
        remove_tree(target / "bin")  # scripts name an interpreter; nothing calls them
    shutil.copytree(
        repository / "services", into.services, ignore=shutil.ignore_patterns(*_NOT_SHIPPED)
    )
    # Unchecked: the trees are read-only and the sources' times are nobody's business.
    run(
        [
            PYTHON,
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            "--invalidation-mode",
            "unchecked-hash",
            "-s",
            str(into.directory),
            "-p",
            "/srv/twinstack",
            str(into.directory),
        ],
        timeout_s=PIP_TIMEOUT_S,
    )
    run(["chmod", "-R", "a+rX,go-w", str(into.directory)])


def _only(package: str) -> tuple[str, ...]:
    lines = TOOLS.read_text().splitlines()
    return tuple(line for line in lines if line.startswith(f"{package}=="))


def _pip_wheel(house: Path) -> Path:
    return next(house.glob("pip-*.whl"))


def _pip(runner: tuple[str, ...], *words: str) -> None:
    """Run pip under Debian's Python, or its bootstrap under whatever runs this."""
    python = sys.executable if runner == ("-m", "pip") else PYTHON
    done = run(
        [python, *runner, *words, "--quiet", "--disable-pip-version-check", "--no-input"],
        timeout_s=PIP_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise StepFailed(
            "wheelhouse" if words[0] == "download" else "software",
            f"pip {words[0]} failed",
            " / ".join(said[-2:]) or done.stderr[-300:],
            "check this machine's way to its Python package index, then run it again",
        )


def _stamp(house: Path) -> str:
    try:
        return (house / _WHOLE).read_text()
    except FileNotFoundError:
        return ""


def _digest(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
