"""The features of a device that are on, as ethtool shows them. Source: ethtool.h, netdevice(7)."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

_SIOCETHTOOL, _ETHTOOL_GSTRINGS, _ETHTOOL_GFEATURES, _ETHTOOL_GSSET_INFO = 0x8946, 0x1B, 0x3A, 0x37
_ETH_SS_FEATURES, _NAME_BYTES, _FEATURE_BLOCK = 4, 32, struct.Struct("=4I")


def features_on(name: str) -> list[str]:
    """Name the features of a device of this namespace that are on, in order.

    Same as: ethtool -k NAME. Raises: OSError.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        sock = opened.fileno()
        asked = struct.pack("=IIQI", _ETHTOOL_GSSET_INFO, 0, 1 << _ETH_SS_FEATURES, 0)
        number = struct.unpack_from("=I", _answer(name, sock, asked), 16)[0]
        head = struct.pack("=III", _ETHTOOL_GSTRINGS, _ETH_SS_FEATURES, number)
        strings = _answer(name, sock, head + bytes(number * _NAME_BYTES))[12:]
        blocks = (number + 31) // 32
        head = struct.pack("=II", _ETHTOOL_GFEATURES, blocks)
        features = _answer(name, sock, head + bytes(blocks * _FEATURE_BLOCK.size))[8:]
    active = [block[2] for block in _FEATURE_BLOCK.iter_unpack(features)]
    on = (
        strings[at * _NAME_BYTES : (at + 1) * _NAME_BYTES].rstrip(b"\0").decode()
        for at in range(number)
        if active[at // 32] >> at % 32 & 1
    )
    return sorted(filter(None, on))


def _answer(name: str, sock: int, request: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(request, len(request))
    fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("16sP", name.encode(), ctypes.addressof(buffer)))
    return buffer.raw
