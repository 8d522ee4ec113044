"""The machine that a result was measured on; read only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from twinstack.errors import TwinstackError
from twinstack.linux import machine, process
from twinstack.model.plan import Plan
from twinstack.model.topology import Limits
from twinstack.stack import REPOSITORY


def describe(plan: Plan, software: Mapping[str, str]) -> dict[str, object]:
    """Give kernel, CPU, versions, limits, revision and topology, as JSON can hold them."""
    return {
        **machine.described(),
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


def _limits(limits: Limits | None) -> str:
    if limits is None:
        return "none"
    return f"{limits.cpus:g} cores, {limits.memory_bytes >> 20} MiB, {limits.pids} pids"


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
