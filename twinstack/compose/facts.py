"""What the engine and its host hold: the facts that `up` and `down` start from.

`observe` reads them, `steps` and `teardown` decide by them. Each alias says where in the engine's
JSON a field is; the units are the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from twinstack.compose.render import DIGEST_LABEL, REPLICA_LABEL

_BRIDGE_OPTION = "com.docker.network.bridge.name"
_MTU_OPTION = "com.docker.network.driver.mtu"
_RUNNING = frozenset({"running", "paused"})


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


class _EngineJson(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


def _at(first: str, *rest: str | int, **options: Any) -> Any:
    """Read a field at a path in the engine's JSON; `default` where there is none."""
    return Field(validation_alias=AliasPath(first, *rest), **options)


_Name = Annotated[str, AfterValidator(lambda name: name.removeprefix("/"))]
_Text = Annotated[str, BeforeValidator(lambda text: text or "")]
_Count = Annotated[int, BeforeValidator(lambda limit: max(limit or 0, 0))]  # -1 is no limit too


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One of our images."""

    identity: str
    digest: str | None  # its label: the digest of its build context and base


class NetworkFacts(_EngineJson):
    """One of our networks, from GET /networks."""

    identity: str = _at("Id")
    name: str = _at("Name")
    subnet: str = _at("IPAM", "Config", 0, "Subnet", default="")
    gateway: str = _at("IPAM", "Config", 0, "Gateway", default="")
    bridge: str = _at("Options", _BRIDGE_OPTION, default="")
    mtu: str = _at("Options", _MTU_OPTION, default="")
    internal: bool = _at("Internal", default=False)


class EndpointFacts(_EngineJson):
    """A container's endpoint on a network."""

    network: _Text = _at("NetworkID")  # its id; "" before the first start
    address: str = Field(
        validation_alias=AliasChoices(AliasPath("IPAMConfig", "IPv4Address"), "IPAddress")
    )


class ContainerFacts(_EngineJson):
    """One of our containers, from GET /containers/ID/json. A limit of 0 is none."""

    identity: str = _at("Id", default="")
    name: _Name = _at("Name")
    replica: str = _at("Config", "Labels", REPLICA_LABEL)
    digest: str | None = _at("Config", "Labels", DIGEST_LABEL, default=None)  # of its definition
    image: str = _at("Image")  # its id
    state: str = _at("State", "Status")
    pid: int = _at("State", "Pid", default=0)
    exit_code: int = _at("State", "ExitCode", default=0)
    error: str = _at("State", "Error", default="")
    health: str = _at("State", "Health", "Status", default="")
    probe_output: str = _at("State", "Health", "Log", -1, "Output", default="")  # the last one's
    restarts: int = _at("RestartCount", default=0)
    memory: int = _at("HostConfig", "Memory", default=0)  # bytes
    cpus: int = _at("HostConfig", "NanoCpus", default=0)  # billionths of a core
    pids: _Count = _at("HostConfig", "PidsLimit", default=0)
    endpoints: dict[str, EndpointFacts] = _at(  # by the network's name
        "NetworkSettings", "Networks", default_factory=dict
    )

    @property
    def runs(self) -> bool:
        """Say whether its main process is there."""
        return self.state in _RUNNING


@dataclass(frozen=True, slots=True)
class DockerFacts:
    """What `up` starts from. Without an engine, what only it can hold is empty."""

    engine: bool = False  # one answers
    trees: bool = False  # the root trees are complete
    wheelhouse: bool = False  # complete, and of the present list
    connects_later: bool = True  # before API 1.44 a new container is put on one network only
    bases: Mapping[str, str] = field(default_factory=_empty)  # role → the base image's id
    outdated: tuple[str, ...] = ()  # names that bases of other trees will be kept by
    contexts: Mapping[str, str] = field(default_factory=_empty)  # image → build context's digest
    images: Mapping[str, ImageFacts] = field(default_factory=_empty)  # by name
    replaced: tuple[str, ...] = ()  # names that keep images which lost their own
    versions: tuple[str, ...] = ()  # of services, that are kept to build images of
    stale: frozenset[str] = frozenset()  # services with a secret that is missing or wrong
    file: str | None = None  # the compose file's text
    containers: tuple[ContainerFacts, ...] = ()
    networks: tuple[NetworkFacts, ...] = ()
    volumes: frozenset[str] = frozenset()
    rules: tuple[str, ...] = ()  # iptables-save -t filter of the engine's host, line by line
    filtered: frozenset[str] = frozenset()  # bridges with nf_call_iptables on

    def container(self, name: str) -> ContainerFacts | None:
        """Give the container of a name."""
        return next((container for container in self.containers if container.name == name), None)

    def network(self, name: str) -> NetworkFacts | None:
        """Give the network of a name."""
        return next((network for network in self.networks if network.name == name), None)


#: What carries an instance's label, by kind: names, paths, or ids of build stages.
#: `down` and `clean` start from it, without a plan.
OwnedDockerObjects = Mapping[str, tuple[str, ...]]
