"""Where an engine of ours is: its socket, data, state and cgroups; pure paths.

Its token is part of each path that must belong to one engine alone; "" is that of an engine that
an older release started.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from twinstack.state.paths import LIB

_NETNS_OPTION = "--net="


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """Where an engine of ours is."""

    socket: Path
    data_root: Path
    state: Path  # our record of it, its log and its run-time state
    cgroup_parent: str
    prefix: tuple[str, ...] = ()  # enters its host's network namespace: nsenter --net=…
    by_environment: bool = False  # DOCKER_HOST and its like lead to it when they are set
    settings: tuple[tuple[str, object], ...] = ()  # more of dockerd's configuration file

    @property
    def log(self) -> Path:
        return self.state / "dockerd.log"

    @property
    def record(self) -> Path:
        return self.state / "record.json"

    @property
    def pidfile(self) -> Path:
        return self.state / "dockerd.pid"

    @property
    def network_namespace(self) -> Path | None:
        """Give the network namespace of the engine's host; None for ours."""
        options = [word for word in self.prefix if word.startswith(_NETNS_OPTION)]
        return Path(options[0].removeprefix(_NETNS_OPTION)) if options else None

    @property
    def url(self) -> str:
        return (self.by_environment and os.environ.get("DOCKER_HOST")) or f"unix://{self.socket}"

    def configuration(self, token: str) -> Path:
        return self.state / f"{_with_token('daemon', token)}.json"

    def exec_root(self, token: str) -> Path:
        """Give the directory of its run-time state, named in its containerds' command lines."""
        return self.state / _with_token("exec", token)

    def cgroups(self, token: str) -> str:
        return _with_token(self.cgroup_parent, token)


DEFAULT = EnginePaths(
    socket=Path("/var/run/docker.sock"),
    data_root=LIB / "docker",
    state=Path("/run/twinstack/engine"),
    cgroup_parent="/twinstack-engine",
    by_environment=True,
)


def _with_token(name: str, token: str) -> str:
    return f"{name}-{token}" if token else name
