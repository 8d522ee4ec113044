"""What is there, as frozen facts: the engine's objects of an instance, and what they are made of.

`observing` fills them in; `steps` and `removals` decide by them. Nothing here asks anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


def _none() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One of our images; `digest` is its label: of the context and the base it was built from."""

    identity: str
    digest: str | None


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """One of our networks, as the engine made it."""

    identity: str
    name: str
    subnet: str
    gateway: str
    bridge: str
    mtu: str
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Attached:
    """A container's place on a network; `network` is that one's id, "" before its first start."""

    network: str
    address: str


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One of our containers. Units: memory in bytes, cpus in billionths of a core; 0: no limit.

    `digest` is its label: of the definition that it was created from. `image` is an image's id.
    """

    name: str
    replica: str
    digest: str | None
    image: str
    state: str
    memory: int = 0
    cpus: int = 0
    pids: int = 0
    attached: Mapping[str, Attached] = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Facts:
    """What `up` starts from.

    `engine`: one answers; without it the rest of the engine's is empty, and unknown.
    `trees`, `wheelhouse`: whole. `bases`: the image's id, by role; `outdated`: the names by
    which those made of other trees will be held. `contexts`: the digest of
    what each service's image is built from, empty before the wheelhouse is whole. `stale`: the
    services with a secret that is missing or not right. `file`: the rendered text, None for none.
    `replaced`: names that keep hold of images which lost theirs. `joins_later`: an engine before
    API 1.44, which puts a new container on one network only. `rules`: the host's filter table as
    iptables-save prints it; `filtered`: its bridges whose frames pass iptables.
    """

    engine: bool = False
    trees: bool = False
    wheelhouse: bool = False
    joins_later: bool = True
    bases: Mapping[str, str] = field(default_factory=_none)
    outdated: tuple[str, ...] = ()
    contexts: Mapping[str, str] = field(default_factory=_none)
    images: Mapping[str, ImageFacts] = field(default_factory=_none)
    replaced: tuple[str, ...] = ()
    stale: frozenset[str] = frozenset()
    file: str | None = None
    containers: tuple[ContainerFacts, ...] = ()
    networks: tuple[NetworkFacts, ...] = ()
    volumes: frozenset[str] = frozenset()
    rules: tuple[str, ...] = ()
    filtered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Holding:
    """What `down` and `clean` start from: all that bears the label of an instance, by its names.

    `images` are tags of the instance's form; `stages` ids of build stages; `bases` tags of ours.
    `sole`: no other instance has images here, so that the last two may go. `rendered`, `kept`,
    `run`: files and directories of ours on the host. `engine`: one that we started, or its data.
    `policy`: chains of ours in the host's iptables.
    """

    containers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    sole: bool = True
    rendered: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    engine: str | None = None
    policy: bool = False
