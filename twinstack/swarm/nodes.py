"""Paths and names of the cluster: each node's host and engine, the instance's files; pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from twinstack.compose.engine_paths import EnginePaths
from twinstack.linux.netns import PINS
from twinstack.state.paths import LIB, RUN

#: The address of a node that is needed for its paths alone.
_UNSET = IPv4Address(0)
#: Runs a command under the hostname that follows: Swarm names a node by it.
_OWN_HOSTNAME = (
    *("unshare", "--uts", "sh", "-c"),
    'echo "$0" > /proc/sys/kernel/hostname && exec "$@"',
)
#: Stack files have no `security_opt`, so the engine sets it for every container.
_SETTINGS = (("no-new-privileges", True),)


@dataclass(frozen=True, slots=True)
class SwarmPaths:
    """The directories and files of an instance's cluster."""

    instance: str

    @property
    def run(self) -> Path:
        """Give the directory of the engines' sockets, logs and run-time state."""
        return RUN / self.instance / "swarm"

    @property
    def lib(self) -> Path:
        """Give the directory of the engines' data, the secrets and the rendered files."""
        return LIB / self.instance / "swarm"

    @property
    def secrets(self) -> Path:
        return self.lib / "secrets"

    @property
    def stack_file(self) -> Path:
        return self.lib / "docker-stack.yml"

    @property
    def nginx_conf(self) -> Path:
        return self.lib / "nginx.conf"

    @property
    def journal(self) -> Path:
        return self.run / "hosts.json"


@dataclass(frozen=True, slots=True)
class SwarmNode:
    """One engine of the cluster and its host."""

    instance: str
    name: str
    manager: bool = False
    address: IPv4Address = _UNSET  # on the underlay

    @property
    def namespace(self) -> Path:
        """Give the pin of its host's network namespace."""
        return PINS / namespace_of(self.instance, self.name)

    @property
    def enter(self) -> tuple[str, ...]:
        """Give the prefix that runs a command in the host's network."""
        return ("nsenter", f"--net={self.namespace}")

    @property
    def engine(self) -> EnginePaths:
        paths = SwarmPaths(self.instance)
        state = paths.run / self.name
        return EnginePaths(
            socket=state / "docker.sock",
            data_root=paths.lib / self.name,
            state=state,
            cgroup_parent=f"/twinstack-swarm-{self.instance}-{self.name}",
            prefix=(*self.enter, *_OWN_HOSTNAME, self.name),
            settings=_SETTINGS,
        )


def namespace_of(instance: str, host: str) -> str:
    """Name a host's network namespace, or the switch's."""
    return f"ts-{instance}-{host}"


def stack_name(instance: str) -> str:
    """Name the stack; Swarm prefixes each service's name with it."""
    return f"twinstack-{instance}"
