"""iptables' tables where nf_tables is behind them: who used one first, and removing it empty.

iptables makes a table when it is first used and never removes it. One that was not there
before us goes when nobody needs it any more; the kernel itself refuses while anything is in it,
so nothing of anybody else's can be lost. Source: nfnetlink, nf_tables.h.
"""

from __future__ import annotations

import os
import socket
import struct

from twinstack.namespaces.netlink import as_text, attributes, text

_NETFILTER, _NF_TABLES = 12, 10
_GET_TABLE, _DELETE_TABLE, _GET_CHAIN, _DELETE_CHAIN = 1, 2, 4, 5
_BATCH_BEGIN, _BATCH_END = 16, 17
_REQUEST, _ACK, _DUMP, _NOT_RECURSIVE = 0x01, 0x04, 0x300, 0x100
_ERROR, _DONE = 2, 3
_IPV4 = 2
_TABLE, _NAME, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY = 1, 1, 3, 4, 5
_ACCEPT = 1
_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct("=BB")
_BUSY = {16, 2}  # EBUSY, ENOENT: it is in use, or somebody else has removed it


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
    batch = [_pack(_BATCH_BEGIN, _REQUEST, 0, _FAMILY.pack(0, 0) + _NF_TABLES.to_bytes(2, "big"))]
    for place, (kind, body) in enumerate(bodies, 1):
        flags = _REQUEST | _NOT_RECURSIVE | (_ACK if place == len(bodies) else 0)
        batch.append(_request(kind, flags, place, body))
    end = _FAMILY.pack(0, 0) + _NF_TABLES.to_bytes(2, "big")
    batch.append(_pack(_BATCH_END, _REQUEST, len(bodies) + 1, end))
    with _socket() as netlink:
        netlink.send(b"".join(batch))
        # A refusal of any part is answered; only if there is none, the last part is.
        data = netlink.recv(1 << 16)
    code = -int(struct.unpack_from("=i", data, _HEADER.size)[0])
    if code in _BUSY:
        return False
    if code:
        raise OSError(code, os.strerror(code))
    return True


def _is_base(chain: dict[int, memoryview]) -> bool:
    """Tell a built-in chain as iptables makes it from one that somebody made or closed."""
    policy = chain.get(_CHAIN_POLICY)
    accepts = policy is None or int.from_bytes(policy, "big") == _ACCEPT
    return _CHAIN_HOOK in chain and accepts


def _dump(kind: int) -> list[dict[int, memoryview]]:
    """List the attributes of each object of a kind."""
    found: list[dict[int, memoryview]] = []
    with _socket() as netlink:
        netlink.send(_request(kind, _REQUEST | _DUMP, 1, b""))
        while True:
            data = memoryview(netlink.recv(1 << 18))
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, told, _, _, _ = _HEADER.unpack_from(data, offset)
                if told in {_DONE, _ERROR}:
                    return found  # a kernel without nf_tables refuses: it has no such tables
                found.append(attributes(data[offset + _HEADER.size + 4 : offset + length]))
                offset += (length + 3) & ~3


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
    made.settimeout(5)
    return made


def _request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    family = _FAMILY.pack(_IPV4, 0) + b"\0\0"
    return _pack((_NF_TABLES << 8) | kind, flags, sequence, family + body)


def _pack(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body
