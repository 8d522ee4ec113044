"""The machine that a result was measured on; read only."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from twinstack.errors import TwinstackError
from twinstack.linux import process
from twinstack.model.plan import Plan
from twinstack.model.topology import Limits
from twinstack.stack import REPOSITORY

_VULNERABILITIES = Path("/sys/devices/system/cpu/vulnerabilities")


def describe(plan: Plan, software: Mapping[str, str]) -> dict[str, object]:
    """Give kernel, CPU, versions, limits, revision and topology, as JSON can hold them."""
    return {
        "kernel": platform.release(),
        "os": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
        "cpu": parse_cpu_model(Path("/proc/cpuinfo").read_text(errors="replace")),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "mitigations": _mitigations(),
        "ab": _first_line(("ab", "-V")).removeprefix("This is ").split(" <")[0],
        "docker": _first_line(("docker", "version", "--format", "{{.Server.Version}}")),
        "software": dict(software),
        "limits": {replica.name: _limits(replica.limits) for replica in plan.replicas},
        "policy": "flows enforced" if plan.policy else "off",
        "shape": plan.shape,
        "instance": plan.instance,
        "topology_digest": hashlib.sha256(repr(plan).encode()).hexdigest()[:16],
        "revision": _revision(),
    }


def parse_cpu_model(cpuinfo: str) -> str:
    """Read the CPU's name; architectures differ in its key, and some have none."""
    match = re.search(r"^(?:model name|Model|cpu model)\s*:(.*)", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _limits(limits: Limits | None) -> str:
    if limits is None:
        return "none"
    return f"{limits.cpus:g} cores, {limits.memory_bytes >> 20} MiB, {limits.pids} pids"


def _mitigations() -> dict[str, str]:
    """Read the kernel's mitigations of CPU faults: some slow every system call down."""
    files = sorted(_VULNERABILITIES.glob("*"))
    states = {file.name: file.read_text(errors="replace").strip() for file in files}
    return {name: state for name, state in states.items() if state != "Not affected"}


def _revision() -> str:
    """Name the commit, "+" when files differ from it."""
    git = ("git", "-c", f"safe.directory={REPOSITORY}", "-C", str(REPOSITORY))
    revision = _first_line((*git, "rev-parse", "--short=12", "HEAD"))
    if not revision:
        return "unknown"
    changed = _first_line((*git, "status", "--porcelain", "--untracked-files=no"))
    return f"{revision}+" if changed else revision


def _first_line(command: Sequence[str]) -> str:
    """Run a program; one that is missing is not part of the environment."""
    try:
        done = process.run(command, timeout_s=10, check=False)
    except TwinstackError:
        return ""
    return done.stdout.strip().split("\n")[0] if done.returncode == 0 else ""
