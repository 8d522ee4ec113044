"""Which names a browser may ask the dashboard by; pure.

DNS rebinding makes a foreign name resolve to this machine, so that its page may read ours. The
browser then sends that name as Host. The loopback's own names cannot be taken over so, and they are
served at any port: `ssh -L 9000:localhost:7700` makes it localhost:9000.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address

from twinstack.errors import WrongUse

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(
    rf"(?P<name>{_LABEL}(?:\.{_LABEL})*|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{{1,5}}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class ServedHost:
    """A name or address, as in a Host header."""

    name: str  # in lower case; an IPv6 address in brackets
    port: int | None = None  # None: none is named


LOOPBACK = (ServedHost("localhost"), ServedHost("127.0.0.1"), ServedHost("[::1]"))


def read(text: str) -> ServedHost | None:
    """Read HOST or HOST:PORT; None if it is neither. Source: RFC 9110, 7.2."""
    match = _HOST.fullmatch(text.strip().lower())
    if match is None or not 0 < int(match["port"] or 80) < 65536:
        return None
    name = match["name"]
    if match["ipv6"]:
        try:
            name = f"[{IPv6Address(match['ipv6'])}]"
        except ValueError:
            return None
    return ServedHost(name, int(match["port"]) if match["port"] else None)


def allowed(texts: Iterable[str]) -> tuple[ServedHost, ...]:
    """Read the values of --allow-host. Raises: WrongUse."""
    return tuple(map(_option, texts))


def _option(text: str) -> ServedHost:
    host = read(text)
    if host is None or len(text) > 255:
        cause = "it is HOST or HOST:PORT, without http:// and without a path"
        raise WrongUse("--allow-host", f"cannot be {text}", cause, "write for example lab.example")
    return host


def is_served(header: str, more: Iterable[ServedHost]) -> bool:
    """Tell whether a Host header names the loopback, or one of `more`.

    One of those without a port stands for each port.
    """
    asked = read(header)
    return asked is not None and any(
        asked.name == host.name and host.port in {None, asked.port or 80}
        for host in (*LOOPBACK, *more)
    )
