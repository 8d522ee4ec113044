"""What this machine is: kernel, distribution, CPU, memory, mitigations; read only."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_VULNERABILITIES = Path("/sys/devices/system/cpu/vulnerabilities")


def described() -> dict[str, object]:
    """Give it as JSON can hold it."""
    return {
        "kernel": platform.release(),
        "os": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
        "cpu": parse_cpu_model(Path("/proc/cpuinfo").read_text(errors="replace")),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "mitigations": _mitigations(),
    }


def parse_cpu_model(cpuinfo: str) -> str:
    """Read the CPU's name; architectures differ in its key, and some have none."""
    match = re.search(r"^(?:model name|Model|cpu model)\s*:(.*)", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _mitigations() -> dict[str, str]:
    """Read the kernel's mitigations of CPU faults: some slow every system call down."""
    files = sorted(_VULNERABILITIES.glob("*"))
    states = {file.name: file.read_text(errors="replace").strip() for file in files}
    return {name: state for name, state in states.items() if state != "Not affected"}
