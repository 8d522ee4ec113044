"""The kinds of value in topology.yml: how each is checked, and what an editor is told of it. Pure.

`examples` are shown by editors; the first also stands in for a mistaken value, so that the rest of
the file can be checked (`form.mended`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from twinstack.model import names, secrets

_SIZE = re.compile(r"(\d+)([KMG])")
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}
_SIZE_MIN = 8 * 1024**2


def _bytes(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a size is a whole number with K, M or G, such as 128M")
    size = int(match[1]) * _UNITS[match[2]]
    if size % 4096:  # the kernel rounds a limit to whole pages, and reads it back so
        raise ValueError("a size is a whole number of pages of 4K")
    if size < _SIZE_MIN:
        raise ValueError("it is at least 8M")
    return size


def _pool(value: object) -> tuple[IPv4Address, IPv4Address]:
    ends = str(value).split("-")
    if len(ends) != 2:
        raise ValueError("a pool is FIRST-LAST, such as 10.0.0.128-10.0.0.239")
    first, last = (IPv4Address(end.strip()) for end in ends)
    if last < first:
        raise ValueError(f"its last address {last} comes before its first {first}")
    return first, last


def _private(subnet: IPv4Network) -> IPv4Network:
    if subnet.prefixlen > 29:
        raise ValueError("it is too small: a gateway and a few services need /29 or larger")
    if not subnet.is_private or subnet.is_loopback or subnet.is_link_local:
        raise ValueError("it is not private: use one such as 10.0.0.0/24")
    return subnet


def _without(problem: Callable[[str], str | None]) -> AfterValidator:
    def validate(value: str) -> str:
        if found := problem(value):
            raise ValueError(found)
        return value

    return AfterValidator(validate)


def _text(pattern: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern})$", **more})


Port = Annotated[int, Field(ge=1, le=65535, strict=True, examples=[80])]
Size = Annotated[int, BeforeValidator(_bytes), _text(_SIZE.pattern, examples=["128M"])]
Subnet = Annotated[IPv4Network, AfterValidator(_private), Field(examples=["10.0.0.0/24"])]
#: The first and the last address of replicas that declare none.
Pool = Annotated[
    tuple[IPv4Address, IPv4Address],
    BeforeValidator(_pool),
    _text(r"[\d.]+ *- *[\d.]+", examples=["10.0.0.128-10.0.0.239"]),
]
BridgeName = Annotated[
    str,
    _without(names.bridge_problem),
    _text(r"[A-Za-z0-9][A-Za-z0-9_-]{0,14}", examples=["br-app"]),
]
#: Keys that users choose: `checks` says what is wrong with one, so that it is known all the same.
ServiceName = Annotated[str, _text(names.SERVICE.pattern)]
SegmentName = ServiceName
HostName = Annotated[str, _text(names.HOST.pattern)]
SecretName = Annotated[str, _text(secrets.NAME.pattern)]
