"""The directories of an instance on this host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RUN = Path("/run/twinstack")
LIB = Path("/var/lib/twinstack")


@dataclass(frozen=True, slots=True)
class InstancePaths:
    """The directories of one instance."""

    instance: str

    @property
    def run(self) -> Path:
        """Locks, the journal and run-time files: a reboot removes them."""
        return RUN / self.instance

    @property
    def journal(self) -> Path:
        """What the namespace world is about to create, and how it was last asked for."""
        return self.run / "journal.json"

    @property
    def versions(self) -> Path:
        """The other versions of the services that the namespace world runs."""
        return self.run / "versions"

    @property
    def lib(self) -> Path:
        """The namespace world's data; Docker's lies beside it."""
        return LIB / self.instance / "net"

    @property
    def log(self) -> Path:
        """The services' logs."""
        return self.lib / "log"

    def log_of(self, replica: str) -> Path:
        """Give the file that a replica writes its output to."""
        return self.log / f"{replica}.log"

    @property
    def secrets(self) -> Path:
        """The namespace world's secrets."""
        return self.lib / "secrets"
