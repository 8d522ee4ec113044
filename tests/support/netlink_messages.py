"""Read packed netlink requests by pyroute2, which is not ours."""

from __future__ import annotations

import struct
from typing import Any

from twinstack.linux.netlink import Request


def decoded(request: Request, kind: type) -> Any:
    header = struct.pack("=IHHII", 16 + len(request.body), request.kind, request.flags, 1, 0)
    message = kind(header + request.body)
    message.decode()
    return message
