"""This host's own address, as other machines use it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from twinstack.linux.links import own_addresses

#: A documentation address (RFC 5737): no packet is sent, the kernel only routes.
_ELSEWHERE = ("198.51.100.1", 9)


def own_address(inner: Sequence[IPv4Network]) -> str | None:
    """Give the source of the default route, or the first global address; none of some networks."""
    addresses: list[IPv4Address | IPv6Address] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent, suppress(OSError):
        unsent.connect(_ELSEWHERE)
        addresses.append(IPv4Address(unsent.getsockname()[0]))
    with suppress(OSError):
        addresses += own_addresses()
    return choose(addresses, inner)


def choose(
    addresses: Iterable[IPv4Address | IPv6Address], inner: Sequence[IPv4Network]
) -> str | None:
    """Take the first IPv4 address that other machines could use."""
    for address in addresses:
        local = address.is_loopback or address.is_link_local
        if address.version == 4 and not local and not any(address in net for net in inner):
            return str(address)
    return None
