"""What services say of themselves, as typed values: an answer of another shape is none; pure.

A watcher believes nobody: whatever a service answers, no more comes of it than that it is not told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from twinstack.observe.live.readings import GatewayCounts, Lease, Tally, Upstream
from twinstack.printable import cut, visible

#: Of what a service says about itself when it is ill.
_DETAIL_CHARACTERS = 160
#: A name of a service, an instance or an address is no longer. Source: RFC 1035.
_NAME_CHARACTERS = 253
_MOST = 1 << 63
Found = TypeVar("Found")


class _Ill(ValueError):
    """A value is not of its kind."""


def document(body: bytes) -> Mapping[str, object] | None:
    """Read a JSON object; None for what is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def health(body: bytes) -> tuple[str, str]:
    """Give a health document's status, and what it names as away; empty where it does not say."""
    told = document(body) or {}
    status, needs, reasons = told.get("status"), told.get("needs"), told.get("reasons")
    away = [
        f"{name} {text}"
        for name, text in (needs.items() if isinstance(needs, dict) else ())
        if isinstance(text, str) and text != "ok"
    ]
    away += [one for one in (reasons if isinstance(reasons, list) else ()) if isinstance(one, str)]
    return status if isinstance(status, str) else "", short("; ".join(away))


def asked(body: bytes) -> tuple[Tally, ...] | None:
    """Find in a health or counts document what its replica asked of others; None: it tells not."""
    return _read(body, lambda told: tuple(_tally(one, "name") for one in _list(told["asked"])))


def gateway(body: bytes) -> GatewayCounts | None:
    """Read what a gateway counted; None: it tells not."""

    def counts(told: Mapping[str, object]) -> GatewayCounts:
        statuses = {name: _count(one) for name, one in _object(told["statuses"]).items()}
        failed = statuses["5xx"]
        total = Tally("", sum(statuses.values()) - failed, failed, _number(told["busy_s"]))
        return GatewayCounts(total, tuple(_upstream(one) for one in _list(told["upstreams"])))

    return _read(body, counts)


def registry(body: bytes) -> tuple[Lease, ...] | None:
    """Read who is registered, by service; None: it tells not."""

    def leases(told: Mapping[str, object]) -> tuple[Lease, ...]:
        services = _object(told["services"])
        return tuple(
            _lease(service, one) for service in sorted(services) for one in _list(services[service])
        )

    return _read(body, leases)


def short(words: str) -> str:
    """Put what somebody says of himself into a short line that is fit to be shown."""
    return cut(" ".join(words.split()), _DETAIL_CHARACTERS)


def _read(body: bytes, make: Callable[[Mapping[str, object]], Found]) -> Found | None:
    told = document(body)
    try:
        return None if told is None else make(told)
    except (KeyError, _Ill):
        return None


def _tally(value: object, name: str) -> Tally:
    told = _object(value)
    return Tally(
        _name(told[name]),
        _count(told["answers"]),
        _count(told["failures"]),
        _number(told["busy_s"]),
    )


def _upstream(value: object) -> Upstream:
    told = _object(value)
    return Upstream(_name(told["service"]), _tally(told, "instance"), told["shunned"] is True)


def _lease(service: str, value: object) -> Lease:
    told = _object(value)
    return Lease(
        _name(service),
        _name(told["instance"]),
        _name(told["address"]),
        _count(told["port"]),
        _number(told["expires_in_s"]),
    )


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _Ill
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _Ill
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > _NAME_CHARACTERS:
        raise _Ill
    return visible(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST:
        raise _Ill
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not -_MOST < value < _MOST:  # NaN is neither
        raise _Ill
    return float(value)
