"""The machine that a result was measured on; read only."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from twinstack.errors import TwinstackError
from twinstack.linux import process
from twinstack.model.plan import Plan

_VULNERABILITIES = Path("/sys/devices/system/cpu/vulnerabilities")
_REPOSITORY = Path(__file__).resolve().parents[2]


def describe(plan: Plan, software: Mapping[str, str]) -> dict[str, object]:
    """Give kernel, CPU, versions, limits, revision and topology, as JSON can hold them."""
    return {
        "kernel": platform.release(),
        "os": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
        "cpu": parse_cpu_model(_read(Path("/proc/cpuinfo"))),
        "cores": os.cpu_count(),
        "memory_bytes": parse_meminfo(_read(Path("/proc/meminfo"))),
        "mitigations": _mitigations(),
        "ab": _first_line(("ab", "-V")).removeprefix("This is ").split(" <")[0],
        "docker": _first_line(("docker", "version", "--format", "{{.Server.Version}}")),
        "software": dict(software),
        "limits": {
            replica.name: (
                f"{replica.limits.cpus:g} cores, {replica.limits.memory_bytes >> 20} MiB, "
                f"{replica.limits.pids} pids"
                if replica.limits
                else "none"
            )
            for replica in plan.replicas
        },
        "policy": "flows enforced" if plan.policy else "off",
        "shape": plan.shape,
        "instance": plan.instance,
        "topology_digest": hashlib.sha256(repr(plan).encode()).hexdigest()[:16],
        "revision": _revision(),
    }


def parse_cpu_model(cpuinfo: str) -> str:
    """Read the CPU's name; architectures differ in its key, and some have none."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "cpu model"}:
            return value.strip()
    return platform.machine()


def parse_meminfo(meminfo: str) -> int:
    """Read the machine's memory. Units: bytes."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _mitigations() -> dict[str, str]:
    """Read the kernel's mitigations of CPU faults: some slow every system call down."""
    try:
        files = sorted(_VULNERABILITIES.iterdir())
    except OSError:
        return {}
    states = {file.name: _read(file).strip() for file in files}
    return {name: state for name, state in states.items() if state != "Not affected"}


def _revision() -> str:
    """Name the commit, "+" when files differ from it."""
    git = ("git", "-c", f"safe.directory={_REPOSITORY}", "-C", str(_REPOSITORY))
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


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
