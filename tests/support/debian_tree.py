"""A tree of another release of Debian, from the host's own mirror: an engine, or a userland."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from tests.support.own_machine import OwnMachine
from tests.support.project import ROOT, committed_files
from twinstack.software.apt import host_archive, host_release

#: The programs of a Docker engine, and no more.
ENGINE = ("docker.io", "docker-cli", "iptables", "mount")
#: How this machine reaches its mirrors of packages.
_HOSTS_OWN = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
_TIMEOUT_S = 600

# Another root for one program: the network, processes and state are the machine's.
_START_ENGINE = r"""
mount --bind "$1" "$1"
for shared in proc sys dev run var/lib/twinstack; do
    mkdir -p "$1/$shared"
    mount --rbind "/$shared" "$1/$shared"
done
cd "$1"
mkdir -p .host
pivot_root . .host
umount --lazy /.host
# In the machine's /run, which the worlds share with it, is its socket alone; and nothing of its
# own is an earlier machine's.
for own in /run/containerd /srv/engine; do
    mkdir -p "$own"
    mount -t tmpfs tmpfs "$own"
done
rm -rf /var/lib/docker
exec dockerd --exec-root /srv/engine --pidfile /srv/engine/pid --log-level warn \
    --exec-opt native.cgroupdriver=cgroupfs >/run/engine.log 2>&1
"""


def make_tree(suite: str, tree: Path, *packages: str) -> None:
    """Install a release of Debian, with the programs of an engine and `packages`."""
    own = host_release().suite
    archive = host_archive()
    sources = []
    for source in archive.sources:
        before, release, component = source.rsplit(" ", 2)
        sources.append(f"{before} {release.replace(own, suite, 1)} {component}")
    options = [f"--aptopt={option}" for option in archive.options]
    include = ",".join((*ENGINE, *packages))
    # Of a run that was killed neither mmdebstrap nor what it had started goes on.
    subprocess.run(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
        + ["--pid", "--mount-proc", "--fork", "--kill-child"]
        + ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", "--format=directory", *options]
        + ["--dpkgopt=force-unsafe-io", "--skip=cleanup/apt", f"--include={include}"]
        + [suite, str(tree), "-"],
        input="\n".join((*sources, "")),
        check=True,
        text=True,
        timeout=_TIMEOUT_S,
    )


def clone_into(tree: Path) -> None:
    """Copy this clone, as it is on disk, to the same place in a tree, and how to reach mirrors."""
    for file in committed_files():
        own = file.relative_to(ROOT)
        if not own.is_relative_to("bench/results"):
            copy = tree / file.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    for name in _HOSTS_OWN:
        if Path("/", name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/", name), tree / name)


def start_engine(machine: OwnMachine, tree: Path) -> None:
    """Start a tree's engine in a machine, as a foreign one there, and wait until it answers."""
    dockerd = machine.start(
        *("unshare", "--mount", "--propagation", "private", "bash", "-euc", _START_ENGINE),
        *("engine", str(tree)),
    )
    while machine.run("docker", "version", check=False).returncode != 0:
        assert dockerd.poll() is None, machine.run("cat", "/run/engine.log").stdout
        time.sleep(0.2)
