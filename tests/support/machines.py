"""A machine whose far end is a shell on this one, and software to upload to it."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from twinstack.model.placement import Host
from twinstack.overlay.ssh import Machine
from twinstack.software.roots import Roots
from twinstack.software.wheels import Software

HERE = Machine(Host("here", IPv4Address("127.0.0.1")), ("sh", "-c"))


def made_software(directory: Path) -> tuple[Roots, Software]:
    """Write root trees and packages that hold a file each."""
    for role in ("nginx", "python", "postgres", "redis"):
        status = directory / "roots/suite-1" / role / "var/lib/dpkg/status"
        status.parent.mkdir(parents=True)
        status.write_text(f"Package: {role}")
    for part in ("site", "services", "supervisor"):
        (directory / "software/abc" / part).mkdir(parents=True)
        (directory / "software/abc" / part / "file").write_text(part)
    return Roots(directory / "roots/suite-1", "suite"), Software(directory / "software/abc")
