"""The rules of section 4 on what is installed: nothing needless, stale or unverified. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container, Iterator

from twinstack.cis.dockerfile import Build, Instruction, calls_of
from twinstack.cis.finding import Found, Subject, of_build

#: Programs that install, and the words that have them do it.
_INSTALLERS = {
    **{
        program: {"install", "in", "upgrade", "dist-upgrade", "full-upgrade"}
        for program in ("apt-get", "apt", "aptitude", "yum", "dnf", "microdnf", "tdnf", "zypper")
    },
    "apk": {"add", "upgrade"},
    "dpkg": {"-i", "--install"},
    "rpm": {"-i", "-U", "-ivh", "-Uvh"},
    "npm": {"install", "i", "ci"},
    "yarn": {"add", "install"},
    "gem": {"install"},
    "go": {"install"},
    "cargo": {"install"},
    "conda": {"install"},
    "snap": {"install"},
}
_UPDATES = {
    **{program: {"update"} for program in ("apt-get", "apt", "aptitude", "apk")},
    **{program: {"update", "makecache", "check-update"} for program in ("yum", "dnf", "microdnf")},
    "zypper": {"refresh", "ref"},
}
_FETCHERS = {"curl", "wget"}
_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "python", "python3", "perl", "ruby", "node"}
_UNVERIFIED = re.compile(
    r"--allow-unauthenticated|--force-yes|--allow-insecure-repositories|--allow-untrusted"
    r"|--nogpgcheck|--no-gpg-checks|gpgcheck=0|trusted=yes|--no-check-certificate"
    r"|--trusted-host|--force-bad|AllowUnauthenticated|AllowInsecureRepositories"
    r"|NODE_TLS_REJECT_UNAUTHORIZED=0|strict-ssl\s+false|http\.sslVerify"
)


@of_build("4.3", "No package is added to the base", "add it to PACKAGES in software/roots.py")
def _packages(build: Build, subject: Subject) -> Found:
    for one, command in build.runs():
        for program, more in calls_of(command, _INSTALLERS):
            if _INSTALLERS[program] & set(more):
                yield one.where, " ".join([program, *more])[:80]


@of_build("4.7", "No update without an install in one RUN", "update and install in one RUN")
def _updates(build: Build, subject: Subject) -> Found:
    for one in build.of("RUN"):
        updates = [program for program, more in _calls(one, _UPDATES) if _UPDATES[program] & more]
        installs = any(_INSTALLERS[program] & more for program, more in _calls(one, _INSTALLERS))
        if updates and not installs:
            yield one.where, f"{updates[0]} updates its lists alone"


@of_build("4.11", "What is installed is verified", "install from the wheelhouse, or by hash")
def _verified(build: Build, subject: Subject) -> Found:
    for one in build.of("RUN"):
        for flag in _UNVERIFIED.findall(one.text if one.words is None else " ".join(one.words)):
            yield one.where, flag
        fetches = False
        for command in one.commands():
            for program, more in calls_of(command, {"pip", "pip3", *_FETCHERS, "git"}):
                if program.startswith("pip") and {"install", "download"} & set(more):
                    if not {"--no-index", "--require-hashes"} & set(more):
                        yield one.where, " ".join([program, *more])[:80]
                elif program in _FETCHERS:
                    fetches = True
                    if {"-k", "--insecure"} & set(more):
                        yield one.where, f"{program} without a look at the certificate"
                if any(re.match(r"(http|git|ftp)://", word) for word in more):
                    yield one.where, f"{program} over a way that anybody may change"
            if fetches and posixpath.basename(command[0]) in _SHELLS:
                yield one.where, f"what was fetched is run by {command[0]}"
    for one in build.of("ADD"):
        if re.match(r"https?://|git@|\S+\.git", one.text) and not one.flag("checksum"):
            yield one.where, f"ADD {one.text}"[:80]


def _calls(one: Instruction, programs: Container[str]) -> Iterator[tuple[str, set[str]]]:
    for command in one.commands():
        for program, more in calls_of(command, programs):
            yield program, set(more)


RULES = (_packages, _updates, _verified)
