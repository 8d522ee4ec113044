"""Which instances a gateway keeps: by what the registry says, and by what they do themselves; pure.

The registry adds instances. An instance leaves by itself: it says so to the registry, or has been
silent for a while. That its lease ran out says no more than that its way to the registry is cut;
that it is not listed, that the registry has lost its table: it stays while it answers. While no
lease of a service is running, its silent instances stay too: there is nobody to ask instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Registered = tuple[str, str, int]  # instance, address, port


@dataclass(frozen=True, slots=True)
class Listing:
    """What the registry says of a service's instances."""

    live: frozenset[Registered] = frozenset()
    lapsed: frozenset[Registered] = frozenset()  # not renewed in time
    left: frozenset[Registered] = frozenset()  # ended in an orderly way, lately


def listings(document: Mapping[str, Any]) -> dict[str, Listing]:
    """Read the registry's answer, by service. Raises: KeyError, TypeError, ValueError."""
    parts = [document["services"], document.get("lapsed", {}), document.get("left", {})]
    if not all(isinstance(part, dict) for part in parts):
        raise TypeError("services, lapsed and left must be objects")
    return {
        service: Listing(*(frozenset(_entries(part, service)) for part in parts))
        for service in {service for part in parts for service in part}
    }


def members(
    service: str,
    listed: Mapping[str, Listing],
    known: Collection[Registered],
    is_silent: Callable[[Registered], bool],
) -> set[Registered]:
    """Decide which instances of a service the gateway has from now on; `known` it has already."""
    own = listed.get(service, Listing())
    # An address where another instance lives by now is no longer this one's.
    taken = {key[1:] for listing in listed.values() for key in listing.live}
    others = {key for key in own.lapsed.union(known) - own.left if key[1:] not in taken}
    if own.live:
        others = {key for key in others.intersection(known) if not is_silent(key)}
    return others.union(own.live)


def _entries(part: Mapping[str, Any], service: str) -> Iterator[Registered]:
    for entry in part.get(service, ()):
        yield str(entry["instance"]), str(entry["address"]), int(entry["port"])
