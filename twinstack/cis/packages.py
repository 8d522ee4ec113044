"""Check what an image installs: nothing needless, stale or unverified. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from twinstack.cis.compose_document import Subject
from twinstack.cis.dockerfile import Dockerfile, Instruction, calls_of

#: Programs that install, and the arguments that make them do it.
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
_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "python", "python3", "perl", "ruby", "node"}
_UNVERIFIED = re.compile(
    r"--allow-unauthenticated|--force-yes|--allow-insecure-repositories|--allow-untrusted"
    r"|--nogpgcheck|--no-gpg-checks|gpgcheck=0|trusted=yes|--no-check-certificate"
    r"|--trusted-host|--force-bad|AllowUnauthenticated|AllowInsecureRepositories"
    r"|NODE_TLS_REJECT_UNAUTHORIZED=0|strict-ssl\s+false|http\.sslVerify"
)


def check_dockerfile(dockerfile: Dockerfile, subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Give (rule, line, what is written there) of one Dockerfile."""
    for instruction in dockerfile.of("RUN"):
        for rule, what in (*_installs(instruction), *_unverified(instruction)):
            yield rule, instruction.where, what
    for instruction in dockerfile.of("ADD"):
        remote = re.match(r"https?://|git@|\S+\.git", instruction.text)
        if remote and not instruction.flag("checksum"):
            yield "4.11", instruction.where, f"ADD {instruction.text}"[:80]


def _installs(instruction: Instruction) -> Iterator[tuple[str, str]]:
    updated, installed = "", False
    for command in instruction.commands():
        for program, arguments in calls_of(command, _INSTALLERS):
            if _INSTALLERS[program] & set(arguments):
                installed = True
                yield "4.3", " ".join([program, *arguments])[:80]
        for program, arguments in calls_of(command, _UPDATES):
            if _UPDATES[program] & set(arguments):
                updated = updated or program
    if updated and not installed:
        yield "4.7", f"{updated} updates its lists alone"


def _unverified(instruction: Instruction) -> Iterator[tuple[str, str]]:
    for option in _UNVERIFIED.findall(instruction.plain):
        yield "4.11", option
    fetches = False
    for command in instruction.commands():
        for program, arguments in calls_of(command, {"pip", "pip3", "curl", "wget", "git"}):
            given = set(arguments)
            if program.startswith("pip") and {"install", "download"} & given:
                if not {"--no-index", "--require-hashes"} & given:
                    yield "4.11", " ".join([program, *arguments])[:80]
            elif program in {"curl", "wget"}:
                fetches = True
                if {"-k", "--insecure"} & given:
                    yield "4.11", f"{program} does not check the certificate"
            if any(re.match(r"(http|git|ftp)://", word) for word in arguments):
                yield "4.11", f"{program} over a connection that anybody may change"
        if fetches and posixpath.basename(command[0]) in _SHELLS:
            yield "4.11", f"what was fetched is run by {command[0]}"
