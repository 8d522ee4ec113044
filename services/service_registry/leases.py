"""The registry's memory: instances, each with a lease that must be renewed.

In memory only: after a restart, instances re-register within one heartbeat, and every answer says
how long the registry has been up.
"""

from __future__ import annotations

import ipaddress
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from services.common.wsgi import ApiError

LEASE_MIN_S, LEASE_MAX_S, LEASE_DEFAULT_S = 1.0, 300.0, 6.0
INSTANCES_MAX = 1000
NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Instance:
    """A registered instance. `expires_at` is on the registry's own monotonic clock, in seconds."""

    service: str
    instance: str
    address: str
    port: int
    lease_s: float
    expires_at: float


class Leases:
    """All instances that are known and not expired. Safe in threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Instance] = {}
        self._started = clock()

    @property
    def uptime_s(self) -> float:
        return self._clock() - self._started

    def register(self, service: str, instance: str, body: Mapping[str, object]) -> bool:
        """Make an instance known, or replace it; say whether it is new.

        Raises: ApiError 400, 507.
        """
        entry = parse(service, instance, body)
        with self._lock:
            self._expire()
            key = (service, instance)
            new = key not in self._known
            if new and len(self._known) >= INSTANCES_MAX:
                message = f"{INSTANCES_MAX} instances are registered"
                raise ApiError(507, "registry_full", message)
            self._known[key] = replace(entry, expires_at=self._clock() + entry.lease_s)
            return new

    def renew(self, service: str, instance: str) -> bool:
        """Renew a lease; say whether there was one."""
        with self._lock:
            self._expire()
            entry = self._known.get((service, instance))
            if entry is None:
                return False
            renewed = replace(entry, expires_at=self._clock() + entry.lease_s)
            self._known[service, instance] = renewed
            return True

    def remove(self, service: str, instance: str) -> bool:
        """Forget an instance; say whether it was known."""
        with self._lock:
            self._expire()
            return self._known.pop((service, instance), None) is not None

    def discover(self, service: str) -> list[Instance]:
        """Give the live instances of a service, in the order of their names."""
        return [entry for entry in self.all() if entry.service == service]

    def all(self) -> list[Instance]:
        with self._lock:
            self._expire()
            return [self._known[key] for key in sorted(self._known)]

    def left_s(self, entry: Instance) -> float:
        return max(0.0, entry.expires_at - self._clock())

    def _expire(self) -> None:
        now = self._clock()
        self._known = {key: entry for key, entry in self._known.items() if entry.expires_at > now}


def parse(service: str, instance: str, body: Mapping[str, object]) -> Instance:
    """Read a registration. Raises: ApiError 400."""
    for field, name in (("service", service), ("instance", instance)):
        if not NAME.fullmatch(name):
            raise _bad(field, "must be lower-case letters, digits and hyphens, up to 63")
    unknown = sorted(set(body) - {"address", "port", "lease_s"})
    if unknown:
        raise _bad(unknown[0], "is not a field of a registration")
    address, port, lease_s = body.get("address"), body.get("port"), body.get("lease_s")
    try:
        parsed = ipaddress.ip_address(address) if isinstance(address, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.is_unspecified or parsed.is_multicast:
        raise _bad("address", "must be the IP address of one host")
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise _bad("port", "must be a whole number from 1 to 65535")
    lease_s = LEASE_DEFAULT_S if lease_s is None else lease_s
    if (
        not isinstance(lease_s, int | float)
        or isinstance(lease_s, bool)
        or not LEASE_MIN_S <= lease_s <= LEASE_MAX_S
    ):
        raise _bad("lease_s", f"must be from {LEASE_MIN_S:g} to {LEASE_MAX_S:g} seconds")
    return Instance(service, instance, str(parsed), port, float(lease_s), 0.0)


def _bad(field: str, why: str) -> ApiError:
    return ApiError(400, "bad_registration", f"{field}: {why}", field=field)
