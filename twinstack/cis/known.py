"""Findings that are meant, with their reasons, and what no file can tell; pure data."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from twinstack.cis.catalogue import Finding


@dataclass(frozen=True, slots=True)
class Exempt:
    """A finding that is meant. `file`, `where` and `what` are patterns, * for anything."""

    rule: str
    file: str
    where: str
    what: str
    why: str

    def covers(self, finding: Finding) -> bool:
        """Tell whether a finding is the one that is meant."""
        return (
            self.rule == finding.rule
            and fnmatchcase(finding.file, self.file)
            and fnmatchcase(finding.where, self.where)
            and fnmatchcase(finding.what, self.what)
        )


EXEMPT = (
    Exempt(
        "4.10",
        "dockerfiles/redis-cache/Dockerfile",
        "*",
        "HEALTHCHECK … --pass none",
        "Redis' user health takes any password and may do nothing but PING (software/secrets.py); "
        "redis-cli needs one.",
    ),
    Exempt(
        "5.14",
        "*",
        "nginx-lb",
        "0.0.0.0:* is bound to every interface",
        "It is the one port for other machines, declared so in topology.yml (host_ports, and the "
        "flow from world); 5.9 holds that no other port is published.",
    ),
    Exempt(
        "5.15",
        "*",
        "*",
        "restart: unless-stopped",
        "The engine counts failures over a container's whole life: on-failure:5 would leave a "
        "service down for good after its sixth failure, months apart or not, and after each start "
        "of the engine. Restarts in a row are spaced by the engine (doubling up to a minute) and "
        "each is within its limits; the namespace world's supervisor gives up no sooner.",
    ),
    Exempt(
        "hadolint",
        "dockerfiles/*/Dockerfile",
        "*",
        "DL3064 *",
        "SECRETS_DIR is a directory: 4.10 and T5 look at the values and find none.",
    ),
)


@dataclass(frozen=True, slots=True)
class Undecided:
    """A recommendation that no rendered file decides."""

    number: str
    title: str
    why: str  # who or what decides it


UNDECIDED = (
    Undecided(
        "4.4",
        "Images are scanned, and rebuilt with fixes",
        "A matter of time, not of text. Bases are made of Debian's current packages with each new "
        'recipe, and after "invoke clean". Nothing here scans them.',
    ),
    Undecided(
        "4.5",
        "Content trust is on",
        "A variable of the client's, for what is pulled. Bases are made here unless another is "
        "declared, and docker.up never pulls.",
    ),
    Undecided(
        "4.12",
        "Signed artifacts are validated",
        "A matter of the registry that they are brought to; ours go to none. Debian's packages "
        "are verified by apt, the wheels pinned by version.",
    ),
    Undecided(
        "5.1",
        "Swarm mode is off unless needed",
        "A state of the engine's (docker info). The rendered file needs none; T10 refuses overlay "
        "networks.",
    ),
    Undecided(
        "5.28",
        "Containers run the latest image",
        "A state of the engine's. docker.up compares the digest of what goes into an image with "
        "its label, and rebuilds it when they differ (twinstack/compose/images.py).",
    ),
)
