"""Mininet without installing it: Debian's packages unpacked into a directory of our own.

Installing them on the host would bring commands and cgroup tools along. Of the package's
dependencies, those that a Linux bridge needs are unpacked beside it.
Source: apt-get(8) download, dpkg-deb(1).
"""

from __future__ import annotations

from pathlib import Path

from twinstack.errors import Missing, StepFailed
from twinstack.linux import process

#: LinuxBridge calls brctl; a Mininet node brings its links up with ifconfig.
_PACKAGES = ("mininet", "net-tools", "bridge-utils")


def unpack(into: Path) -> Path:
    """Download and unpack; gives the root of the tree. Raises: Missing."""
    downloads, root = into / "packages", into / "mininet"
    downloads.mkdir()
    try:
        # Root's directory is closed to the user that apt would download as.
        words = ["apt-get", "-o", "APT::Sandbox::User=root", "download", *_PACKAGES]
        process.run(words, directory=downloads, timeout_s=120)
        for package in sorted(downloads.glob("*.deb")):
            process.run(["dpkg-deb", "--extract", str(package), str(root)])
    except StepFailed as error:
        cause = error.cause.partition("\n")[0]
        remedy = 'run "apt-get update", or leave it out'
        raise Missing("Mininet", "cannot be compared with", cause, remedy) from error
    return root
