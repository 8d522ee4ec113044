"""iptables' tables where nf_tables is behind them: which exist, and removing one that is empty.

iptables creates a table when it is first used and never removes it. We remove one that did not
exist before us once nobody needs it. The kernel itself refuses while anything is in it, so nothing
foreign can be lost. Source: nfnetlink.h, nf_tables.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from enum import IntEnum

from twinstack.linux.netlink import (
    NETLINK,
    NLM,
    NLMSG_ERROR,
    Netlink,
    Refused,
    as_big_endian,
    as_text,
    attributes,
    messages,
    pack,
    refusal,
    text,
)

_NFNL_SUBSYS_NFTABLES = 10
_NFNL_MSG_BATCH_BEGIN, _NFNL_MSG_BATCH_END = 16, 17


class NFT(IntEnum):
    """Kinds of messages, with their subsystem: NFT_MSG_*. Source: nf_tables.h."""

    GETTABLE = _NFNL_SUBSYS_NFTABLES << 8 | 1
    DELTABLE = _NFNL_SUBSYS_NFTABLES << 8 | 2
    GETCHAIN = _NFNL_SUBSYS_NFTABLES << 8 | 4
    DELCHAIN = _NFNL_SUBSYS_NFTABLES << 8 | 5
    GETRULE = _NFNL_SUBSYS_NFTABLES << 8 | 7


class NFTA(IntEnum):
    """Attributes: NFTA_*. Source: nf_tables.h."""

    TABLE_NAME = 1
    CHAIN_TABLE = 1
    RULE_TABLE = 1
    CHAIN_NAME = 3
    CHAIN_HOOK = 4
    CHAIN_POLICY = 5


_NF_ACCEPT = 1
_NFGENMSG = struct.Struct("!BBH")  # family, version, subsystem
_IPV4 = _NFGENMSG.pack(socket.AF_INET, 0, 0)
_GONE_OR_IN_USE = {errno.EBUSY, errno.ENOENT}
_TIMEOUT_S = 5


def present() -> set[str]:
    """List nf_tables' tables for IPv4; none where iptables has its own. Raises: OSError."""
    return {as_text(table.get(NFTA.TABLE_NAME)) or "" for table in _dump(NFT.GETTABLE)}


def rule_counts() -> dict[str, int]:
    """Count the IPv4 rules of each of nf_tables' tables that has any. Raises: OSError."""
    return Counter(as_text(rule.get(NFTA.RULE_TABLE)) or "" for rule in _dump(NFT.GETRULE))


def remove_if_empty(table: str) -> bool:
    """Remove a table that has no rules, chains or policies; tell whether it was removed.

    The kernel does all of it or, when anything is in the table, nothing. Raises: OSError.
    """
    if table not in present():
        return False
    chains = [
        chain for chain in _dump(NFT.GETCHAIN) if as_text(chain.get(NFTA.CHAIN_TABLE)) == table
    ]
    if not all(_is_base(chain) for chain in chains):
        return False
    name = text(NFTA.TABLE_NAME, table)
    deletions = [
        (NFT.DELCHAIN, name + text(NFTA.CHAIN_NAME, as_text(chain.get(NFTA.CHAIN_NAME)) or ""))
        for chain in chains
    ]
    deletions.append((NFT.DELTABLE, name))
    subsystem = _NFGENMSG.pack(socket.AF_UNSPEC, 0, _NFNL_SUBSYS_NFTABLES)
    batch = [pack(_NFNL_MSG_BATCH_BEGIN, 0, 0, subsystem)]
    for place, (kind, body) in enumerate(deletions, 1):
        flags = NLM.NONREC | (NLM.ACK if place == len(deletions) else 0)
        batch.append(pack(kind, flags, place, _IPV4 + body))
    batch.append(pack(_NFNL_MSG_BATCH_END, 0, len(deletions) + 1, subsystem))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK.NETFILTER) as netlink:
        netlink.settimeout(_TIMEOUT_S)
        netlink.send(b"".join(batch))
        # A refusal of any part is answered; only without one, the last part is.
        answers = messages(memoryview(netlink.recv(1 << 16)))
        refused = next(refusal(body) for kind, _, _, body in answers if kind == NLMSG_ERROR)
    if refused is not None and refused.errno not in _GONE_OR_IN_USE:
        raise refused
    return refused is None


def _is_base(chain: dict[int, memoryview]) -> bool:
    """Tell a built-in chain as iptables makes it from one that was added or has another policy."""
    policy = chain.get(NFTA.CHAIN_POLICY)
    accepts = policy is None or as_big_endian(policy) == _NF_ACCEPT
    return NFTA.CHAIN_HOOK in chain and accepts


def _dump(kind: NFT) -> list[dict[int, memoryview]]:
    """List the attributes of each object of a kind."""
    with Netlink(NETLINK.NETFILTER) as netlink:
        try:
            return [attributes(body[_NFGENMSG.size :]) for body in netlink.dump(kind, _IPV4)]
        except Refused:
            return []  # a kernel without nf_tables has no such tables
