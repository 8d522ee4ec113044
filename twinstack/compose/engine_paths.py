"""Where an engine of ours lives: its socket, data, state, cgroups; pure paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from twinstack.software.roots import STATE

_NAMESPACE = "--net="


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """Where an engine of ours lives.

    `prefix` is put before its command (`nsenter --net=…` for one in a network namespace).
    `by_environment`: DOCKER_HOST and its like lead to it when they are set. What a token is
    given to belongs to one engine alone; "" stands for one that an older release started.
    `settings` are further ones of its configuration file.
    """

    socket: Path
    data_root: Path
    state: Path
    cgroup_parent: str
    prefix: tuple[str, ...] = ()
    by_environment: bool = False
    settings: tuple[tuple[str, object], ...] = ()

    @property
    def log(self) -> Path:
        """Give dockerd's log file."""
        return self.state / "dockerd.log"

    @property
    def record(self) -> Path:
        """Give the note of what we started and what was before."""
        return self.state / "record.json"

    @property
    def pidfile(self) -> Path:
        """Give dockerd's own pid file."""
        return self.state / "dockerd.pid"

    @property
    def network_namespace(self) -> Path | None:
        """Give the network namespace of the engine's host, None for ours."""
        named = [word for word in self.prefix if word.startswith(_NAMESPACE)]
        return Path(named[0].removeprefix(_NAMESPACE)) if named else None

    @property
    def url(self) -> str:
        """Give the address that a client is told."""
        return (self.by_environment and os.environ.get("DOCKER_HOST")) or f"unix://{self.socket}"

    def configuration(self, token: str) -> Path:
        """Give dockerd's configuration file."""
        return self.state / _marked("daemon", token, ".json")

    def exec_root(self, token: str) -> Path:
        """Give the directory of its run-time state, which its containerds' command lines name."""
        return self.state / _marked("exec", token)

    def cgroups(self, token: str) -> str:
        """Give the cgroup that its containers are in."""
        return _marked(self.cgroup_parent, token)


DEFAULT = EnginePaths(
    socket=Path("/var/run/docker.sock"),
    data_root=STATE / "docker",
    state=Path("/run/twinstack/engine"),
    cgroup_parent="/twinstack-engine",
    by_environment=True,
)


def _marked(name: str, token: str, suffix: str = "") -> str:
    return f"{name}-{token}{suffix}" if token else f"{name}{suffix}"
