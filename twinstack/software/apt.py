"""Where the host gets its packages from: its distribution, suite, mirrors and proxies.

Nothing is assumed about mirrors: apt itself reports its configuration, in whatever format its
files are, and only the distribution's own archive of the host's suite is used.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import CannotTell, Missing
from twinstack.linux.process import run

_FIELDS = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ARCHITECTURE)|$(SIGNED_BY)"
_POCKETS = ("", "-updates", "-security")
_COMPONENTS = ("main", "universe")
#: How apt reaches its mirrors from here (proxies, time checks) must hold inside the trees too.
_COPIED_OPTIONS = re.compile(r"Acquire::(?:https?::|Check-|Retries|ForceIPv)")


@dataclass(frozen=True, slots=True)
class Release:
    """What the host is, as Debian calls it: debian, bookworm, amd64."""

    distribution: str
    suite: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Archive:
    """A release's own packages as the host's apt reaches them; no image keeps any of this."""

    sources: tuple[str, ...]  # one-line entries of sources.list
    options: tuple[str, ...]  # lines of apt.conf


def host_release() -> Release:
    """Say what the host is. Raises: Missing without dpkg; CannotTell on no Debian-like host."""
    release = platform.freedesktop_os_release()
    distribution, suite = release.get("ID", ""), release.get("VERSION_CODENAME", "")
    if not distribution or not suite:
        cause, remedy = "ID or VERSION_CODENAME is not set", "use a release of Debian or Ubuntu"
        raise CannotTell("/etc/os-release", "names no suite", cause, remedy)
    return Release(distribution, suite, run(["dpkg", "--print-architecture"]).stdout.strip())


def host_archive() -> Archive:
    """Ask the host's apt, which takes half a second where its cache is of no use.

    Raises: Missing without apt or its package lists; CannotTell on no Debian-like host.
    """
    host = host_release()
    listed = run(["apt-get", "indextargets", "--format", _FIELDS, "Created-By: Packages"]).stdout
    keyring = Path(f"/usr/share/keyrings/{host.distribution}-archive-keyring.gpg")
    sources = sources_of(listed, host, str(keyring) if keyring.exists() else "")
    if not sources:
        raise Missing(
            "apt",
            f"knows no packages of {host.distribution} {host.suite}",
            "its lists are empty, or of another archive",
            'run "apt-get update"',
        )
    dumped = run(["apt-config", "dump", "Acquire"]).stdout.splitlines()
    options = (line for line in dumped if _COPIED_OPTIONS.match(line) and not line.endswith('"";'))
    return Archive(sources, tuple(options))


def sources_of(listed: str, host: Release, keyring: str = "") -> tuple[str, ...]:
    """Keep the distribution's own archive of one suite: no backports, no third party.

    `keyring` is for sources of which apt does not report the key that signs them.
    """
    suites = {host.suite + pocket for pocket in _POCKETS}
    sources: dict[str, None] = {}
    for line in listed.splitlines():
        origin, codename, uri, release, component, architecture, signed_by = line.split("|")
        # A security archive may give its codename with or without the pocket.
        of_suite = {codename, release.split("/")[0]} & suites
        wanted = component in _COMPONENTS and architecture == host.architecture
        if origin.lower() == host.distribution and of_suite and wanted:
            key = signed_by if signed_by.startswith("/") else keyring  # apt before 2.7: no answer
            sources[f"deb {f'[signed-by={key}] ' if key else ''}{uri} {release} {component}"] = None
    return tuple(sources)
