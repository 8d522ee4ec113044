"""iptables' tables where nf_tables is behind them: who used one first, and removing it empty.

iptables makes a table when it is first used and never removes it. One that was not there
before us goes when nobody needs it any more; the kernel itself refuses while anything is in it,
so nothing of anybody else's can be lost. Source: nfnetlink, nf_tables.h.
"""

from __future__ import annotations

import errno
import socket
import struct

from twinstack.linux.netlink import (
    ACKNOWLEDGE,
    ERROR,
    NETFILTER,
    Netlink,
    Refused,
    as_text,
    attributes,
    messages,
    pack,
    refusal,
    text,
)

_NF_TABLES = 10
_GET_TABLE, _DELETE_TABLE, _GET_CHAIN, _DELETE_CHAIN = 1, 2, 4, 5
_BATCH_BEGIN, _BATCH_END = 16, 17
_NOT_RECURSIVE = 0x100
_IPV4 = 2
_TABLE, _NAME, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY = 1, 1, 3, 4, 5
_ACCEPT = 1
_FAMILY = struct.Struct("=BB")
_GONE_OR_IN_USE = {errno.EBUSY, errno.ENOENT}
_TIMEOUT_S = 5


def present() -> set[str]:
    """List nf_tables' tables for IPv4; none where iptables has its own. Raises: OSError."""
    return {as_text(one.get(_NAME)) or "" for one in _dump(_GET_TABLE)}


def remove_if_empty(table: str) -> bool:
    """Remove a table without rules, chains or policies of anybody's; tell whether it went.

    The kernel does the whole or, when anything is in it, nothing. Raises: OSError.
    """
    if table not in present():
        return False
    there = [one for one in _dump(_GET_CHAIN) if as_text(one.get(_TABLE)) == table]
    if not all(_is_base(chain) for chain in there):
        return False
    chains = [as_text(one.get(_CHAIN_NAME)) or "" for one in there]
    within = text(_TABLE, table)
    bodies = [(_DELETE_CHAIN, within + text(_CHAIN_NAME, chain)) for chain in chains]
    bodies.append((_DELETE_TABLE, within))
    subsystem = _FAMILY.pack(0, 0) + _NF_TABLES.to_bytes(2, "big")
    batch = [pack(_BATCH_BEGIN, 0, 0, subsystem)]
    for place, (kind, body) in enumerate(bodies, 1):
        flags = _NOT_RECURSIVE | (ACKNOWLEDGE if place == len(bodies) else 0)
        batch.append(pack(_kind(kind), flags, place, _family() + body))
    batch.append(pack(_BATCH_END, 0, len(bodies) + 1, subsystem))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as netlink:
        netlink.settimeout(_TIMEOUT_S)
        netlink.send(b"".join(batch))
        # A refusal of any part is answered; only if there is none, the last part is.
        answers = messages(memoryview(netlink.recv(1 << 16)))
        refused = next(refusal(body) for told, _, _, body in answers if told == ERROR)
    if refused is not None and refused.errno not in _GONE_OR_IN_USE:
        raise refused
    return refused is None


def _is_base(chain: dict[int, memoryview]) -> bool:
    """Tell a built-in chain as iptables makes it from one that somebody made or closed."""
    policy = chain.get(_CHAIN_POLICY)
    accepts = policy is None or int.from_bytes(policy, "big") == _ACCEPT
    return _CHAIN_HOOK in chain and accepts


def _dump(kind: int) -> list[dict[int, memoryview]]:
    """List the attributes of each object of a kind."""
    with Netlink(NETFILTER) as netlink:
        try:
            return [
                attributes(body[len(_family()) :]) for body in netlink.dump(_kind(kind), _family())
            ]
        except Refused:
            return []  # a kernel without nf_tables: it has no such tables


def _kind(kind: int) -> int:
    return (_NF_TABLES << 8) | kind


def _family() -> bytes:
    return _FAMILY.pack(_IPV4, 0) + b"\0\0"
