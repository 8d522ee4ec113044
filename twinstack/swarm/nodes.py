"""Where each node of the cluster lives: its host, its engine, its files; pure paths and names."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from twinstack.compose.engine_paths import EnginePaths
from twinstack.model.placement import Host
from twinstack.state.paths import LIB, RUN

PINS = Path("/run/netns")
#: A process sees its own host's name: a node of the cluster is called by it.
_NAMED = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'
#: Swarm's stack files have no `security_opt`: the engine gives it to every container.
_SETTINGS = (("no-new-privileges", True),)


@dataclass(frozen=True, slots=True)
class Node:
    """One engine of the cluster; `address` is its host's on the underlay."""

    name: str
    manager: bool
    address: IPv4Address
    namespace: Path
    place: EnginePaths


def pin(instance: str, what: str) -> Path:
    """Give the pin of a network namespace: a host's, or the switch's."""
    return PINS / f"ts-{instance}-{what}"


def run_directory(instance: str) -> Path:
    """Give where the engines' sockets, logs and run-time state are."""
    return RUN / instance / "swarm"


def data_directory(instance: str) -> Path:
    """Give where the engines' data, the secrets and the stack file are."""
    return LIB / instance / "swarm"


def secrets_directory(instance: str) -> Path:
    """Give the directory of the Swarm's own secrets."""
    return data_directory(instance) / "secrets"


def stack_file(instance: str) -> Path:
    """Give the file that `up` renders and `docker stack deploy` reads."""
    return data_directory(instance) / "docker-stack.yml"


def client_directory(instance: str) -> Path:
    """Give the private configuration of Docker's client: the user's own does not matter."""
    return data_directory(instance) / "docker-cli"


def engine_place(instance: str, host: str, namespace: Path) -> EnginePaths:
    """Give where the engine of a host lives; its network and its name are the host's."""
    state = run_directory(instance) / host
    return EnginePaths(
        socket=state / "docker.sock",
        data_root=data_directory(instance) / host,
        state=state,
        cgroup_parent=f"/twinstack-swarm-{instance}-{host}",
        prefix=("nsenter", f"--net={namespace}", "unshare", "--uts", "sh", "-c", _NAMED, host),
        settings=_SETTINGS,
    )


def node(instance: str, host: Host, *, manager: bool) -> Node:
    """Give the node of a host."""
    namespace = pin(instance, host.name)
    place = engine_place(instance, host.name, namespace)
    return Node(host.name, manager, host.address, namespace, place)


def stack_name(instance: str) -> str:
    """Name the stack; Swarm puts it before the name of each service."""
    return f"twinstack-{instance}"
