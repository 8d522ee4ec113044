"""A world's network as observed: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twinstack.linux.iptables import Tables
from twinstack.linux.links import LinkFacts


@dataclass(frozen=True, slots=True)
class Inside:
    """A network namespace: its links and its default gateways."""

    interfaces: tuple[LinkFacts, ...]
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """A world's network. `host` is the namespace of its bridges, `places` those of replicas."""

    host: Inside
    places: Mapping[str, Inside]
    rules: Tables
