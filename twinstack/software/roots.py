"""Root trees, one a role, made from the host's own distribution and used by every world.

A process of the namespace world is pivoted into a tree; Docker's worlds import the same tree as a
base image. So all run the same binaries, and nothing but docker.io is installed on the host.
mmdebstrap makes one tree of essential packages; each role is a copy of it with a few more.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from twinstack.errors import Missing, StepFailed
from twinstack.linux.process import run
from twinstack.model.runtimes import Role
from twinstack.software.apt import Release, host_archive, host_release
from twinstack.software.building import aside, locked, remove_tree
from twinstack.state.paths import LIB

ROOTS = LIB / "roots"
BUILD_TIMEOUT_S = 1200.0

PACKAGES: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {
        "postgres": ("postgresql",),
        "python": ("python3",),
        "nginx": ("nginx",),
        "redis": ("redis-server",),
    }
)
#: Where the worlds mount or bind something; the trees themselves stay read-only.
MOUNT_POINTS = [
    "srv/twinstack",
    "run/secrets",
    "proc",
    "dev",
    "sys",
    "tmp",
    "etc/nginx",
    "etc/redis",
    "var/lib/postgresql/data",
    "var/lib/twinstack/data",
]
MOUNT_FILES = [
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/nginx/nginx.conf",
    "etc/redis/redis.conf",
]
#: What no service reads. The packages' own scripts need all of Perl, the services none of it.
#: PostgreSQL runs without its JIT (LLVM, Z3) when the JIT's library is missing.
_UNNEEDED = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/bash-completion",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/*/perl",
    "usr/lib/*/libperl.so*",
    "usr/lib/*/gconv",
    "usr/lib/*/libLLVM*",
    "usr/lib/llvm-*",
    "usr/lib/*/libz3.so*",
    "usr/lib/postgresql/*/lib/bitcode",
    "usr/lib/postgresql/*/lib/llvmjit*",
    "usr/lib/postgresql/*/lib/plperl*",
    "var/cache/apt",
    "var/cache/debconf",
    "var/log",
    "etc/apt",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/machine-id",
    "etc/nginx/sites-enabled/default",
]
_PRIVATE = frozenset({"shadow", "shadow-", "gshadow", "gshadow-"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the trees are made of."""

    release: Release
    accounts: tuple[tuple[str, int], ...]  # of the services: name, uid; the gid is the same

    @property
    def name(self) -> str:
        """Name a set of trees by the host's release, the accounts and how this module makes it."""
        made_of = f"{self.release}{self.accounts}{inspect.getsource(sys.modules[__name__])}"
        return f"{self.release.suite}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Roots:
    """A whole set of trees on disk."""

    directory: Path
    suite: str

    def tree(self, role: Role) -> Path:
        """Give the root directory of a role."""
        return self.directory / role


def recipe_for(accounts: Mapping[str, int]) -> Recipe:
    """Say what this host's trees are made of. Raises: as `host_release`."""
    return Recipe(host_release(), tuple(sorted(accounts.items())))


def find_roots(recipe: Recipe, base: Path = ROOTS) -> Roots | None:
    """Give the trees if they are whole."""
    roots = Roots(base / recipe.name, recipe.release.suite)
    return roots if all(roots.tree(role).is_dir() for role in PACKAGES) else None


def ensure_roots(recipe: Recipe, progress: Callable[[str], None], base: Path = ROOTS) -> Roots:
    """Give the trees, building the missing ones: two at once, each whole or not at all.

    Raises: Missing without mmdebstrap or root; StepFailed when packages cannot be had.
    """
    if roots := find_roots(recipe, base):
        return roots
    if os.geteuid() != 0:
        raise Missing("root trees", "cannot be built", "only root may", "run it with sudo")
    if not shutil.which("mmdebstrap"):
        cause = "mmdebstrap is not installed"
        raise Missing("root trees", "cannot be built", cause, 'run "make setup"')
    with locked(base, progress):
        roots = Roots(base / recipe.name, recipe.release.suite)
        missing = [role for role in PACKAGES if not roots.tree(role).is_dir()]
        if missing:
            _build(roots, recipe, missing, progress)
    return roots


def _build(
    roots: Roots, recipe: Recipe, missing: list[Role], progress: Callable[[str], None]
) -> None:
    archive = host_archive()
    roots.directory.mkdir(parents=True, exist_ok=True)
    essential, settings = roots.directory / ".essential", roots.directory / ".apt"
    remove_tree(essential)
    remove_tree(settings)
    settings.mkdir()
    (settings / "apt.conf").write_text("\n".join((*archive.options, "")))
    (settings / "sources.list").write_text("\n".join((*archive.sources, "")))
    try:
        progress(f"root trees: essential packages of {roots.suite}")
        with aside(essential) as tree:
            # mount: the launch script unmounts the host's file system by the tree's own umount.
            options = "--variant=essential --include=mount --skip=cleanup/apt/lists"
            _mmdebstrap(settings, tree, roots.suite, *options.split())

        def build(role: Role) -> None:
            progress(f"root trees: {role}: {', '.join(PACKAGES[role])}")
            with aside(roots.tree(role)) as tree:
                _build_role(settings, essential, tree, role, recipe)

        with ThreadPoolExecutor(max_workers=2) as pool:
            for done in [pool.submit(build, role) for role in missing]:
                done.result()
    finally:
        remove_tree(settings)
        remove_tree(essential)


def _build_role(settings: Path, essential: Path, tree: Path, role: Role, recipe: Recipe) -> None:
    run(["cp", "-a", f"{essential}/.", str(tree)])
    for node in (tree / "dev").iterdir():  # mmdebstrap makes them itself
        remove_tree(node)
    if role == "postgres":  # the package must not create a cluster
        settings_of_package = tree / "etc/postgresql-common"
        settings_of_package.mkdir(parents=True)
        (settings_of_package / "createcluster.conf").write_text("create_main_cluster = false\n")
    include = f"--include={','.join(PACKAGES[role])}"
    _mmdebstrap(settings, tree, "", "--variant=custom", "--skip=check/empty,update", include)
    _finish(tree, recipe)


def _mmdebstrap(settings: Path, tree: Path, suite: str, *options: str) -> None:
    """Run mmdebstrap in a mount namespace of its own, so that a kill leaves nothing mounted."""
    command = [
        *["unshare", "--mount", "--propagation", "private", "mmdebstrap", "--quiet", "--mode=root"],
        *("--format=directory", "--dpkgopt=force-unsafe-io"),
        *(f"--aptopt={settings / 'apt.conf'}", '--aptopt=APT::Install-Recommends "false"'),
        *options,
        *(suite, str(tree), str(settings / "sources.list")),
    ]
    done = run(command, timeout_s=BUILD_TIMEOUT_S, check=False)
    if done.returncode == 0:
        return
    errors = [line for line in done.stderr.splitlines() if line.startswith(("E:", "Err:", "W:"))]
    is_network = any("resolve" in line or "onnect" in line for line in errors)
    mirror, lists = "check this machine's way to its package mirror", 'run "apt-get update"'
    raise StepFailed(
        f"root tree {tree.name.split('.')[0]}",
        "cannot be built",
        " / ".join(errors[-3:]) or done.stderr[-300:] or f"mmdebstrap exited {done.returncode}",
        f"{mirror if is_network else lists}, then run it again",
    )


def _finish(tree: Path, recipe: Recipe) -> None:
    """Trim a tree, add the accounts and mount points, and make all of it root's and readable."""
    for pattern in _UNNEEDED:
        for path in sorted(tree.glob(pattern)):
            remove_tree(path)
    for node in (tree / "dev").iterdir():
        remove_tree(node)
    with (tree / "etc/passwd").open("a") as passwd, (tree / "etc/group").open("a") as group:
        for name, uid in recipe.accounts:
            passwd.write(f"{name}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n")
            group.write(f"{name}:x:{uid}:\n")
    for point in MOUNT_POINTS:
        (tree / point).mkdir(parents=True, exist_ok=True)
    for point in MOUNT_FILES:
        # Replaced, not written through: a link would lead to the host's own file.
        (tree / point).unlink(missing_ok=True)
        (tree / point).touch()
    (tree / "var/log").mkdir(exist_ok=True)
    for directory, directories, files in os.walk(tree):
        for entry in (*directories, *files):
            _make_readable(Path(directory, entry))
    _make_readable(tree)
    (tree / "tmp").chmod(0o1777)


def _make_readable(path: Path) -> None:
    """Give a file to root, readable by all, without set-user-ID and file capabilities."""
    mode = path.lstat().st_mode
    os.chown(path, 0, 0, follow_symlinks=False)  # drops file capabilities too
    if stat.S_ISLNK(mode) or path.name in _PRIVATE:
        return
    readable = 0o555 if stat.S_ISDIR(mode) or mode & 0o111 else 0o444
    path.chmod((stat.S_IMODE(mode) | readable) & 0o0755)
