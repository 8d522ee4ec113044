"""Where an engine of ours is: its socket, data, state and cgroups; pure paths.

Its token is part of each path that must belong to one engine alone; "" is that of an engine that
an older release started.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import Missing
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

    def check_unnamed(self) -> None:
        """Check that the user did not name this engine, which does not answer. Raises: Missing."""
        if self.by_environment and os.environ.get("DOCKER_HOST"):
            cause = "DOCKER_HOST names this engine"
            raise Missing(self.url, "does not answer", cause, "start it, or unset DOCKER_HOST")

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


def is_absent(engine: EnginePaths = DEFAULT) -> bool:
    """Say whether certainly no engine is there: nothing listens at its socket.

    Without Docker's SDK, which takes longer to load than a task without it. Raises: Missing when
    DOCKER_HOST names that socket.
    """
    scheme, _, path = engine.url.partition("://")
    if scheme != "unix":
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            engine.check_unnamed()
            return True
        except OSError:  # the client says why it cannot be asked
            pass
    return False


def no_engine() -> Missing:
    """Give the error of a task that needs an engine."""
    return Missing("Docker engine", "does not answer", "", "run: invoke docker.up")


def _with_token(name: str, token: str) -> str:
    return f"{name}-{token}" if token else name
