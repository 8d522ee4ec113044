"""Paths and names of the cluster: each node's host and engine, the instance's files; pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from twinstack.compose.engine_paths import EnginePaths
from twinstack.model.placement import Host
from twinstack.state.paths import LIB, RUN

PINS = Path("/run/netns")
#: Run in a UTS namespace of its own: Swarm names a node by its hostname.
_SET_HOSTNAME = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'
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
    def client_config(self) -> Path:
        return self.lib / "docker-cli"

    @property
    def journal(self) -> Path:
        return self.run / "hosts.json"


@dataclass(frozen=True, slots=True)
class SwarmNode:
    """One engine of the cluster and its host."""

    name: str
    manager: bool
    address: IPv4Address  # on the underlay
    namespace: Path  # the pin of its host's network namespace
    engine: EnginePaths

    @property
    def enter(self) -> tuple[str, ...]:
        """Give the prefix that runs a command in the host's network."""
        return ("nsenter", f"--net={self.namespace}")


def pin(instance: str, host: str) -> Path:
    """Give the pin of a host's network namespace, or of the switch's."""
    return PINS / f"ts-{instance}-{host}"


def node_of(instance: str, host: Host, *, manager: bool) -> SwarmNode:
    """Give the node of a host."""
    namespace, paths = pin(instance, host.name), SwarmPaths(instance)
    state = paths.run / host.name
    enter = ("nsenter", f"--net={namespace}", "unshare", "--uts")
    engine = EnginePaths(
        socket=state / "docker.sock",
        data_root=paths.lib / host.name,
        state=state,
        cgroup_parent=f"/twinstack-swarm-{instance}-{host.name}",
        prefix=(*enter, "sh", "-c", _SET_HOSTNAME, host.name),
        settings=_SETTINGS,
    )
    return SwarmNode(host.name, manager, host.address, namespace, engine)


def node_named(instance: str, name: str, *, manager: bool = False) -> SwarmNode:
    """Give a node for what needs only its paths: its address is unknown."""
    return node_of(instance, Host(name, IPv4Address(0)), manager=manager)


def stack_name(instance: str) -> str:
    """Name the stack; Swarm prefixes each service's name with it."""
    return f"twinstack-{instance}"
