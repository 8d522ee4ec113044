"""The registry's table: instances, each with a lease that it renews itself.

An instance is who it says if it has its service's credential (`routes` checks that) and asks from
the address that it registers: it can name nobody else. A lease that ran out makes an instance
`lapsed`, not unknown: it may be well, and only its way to the registry cut. Whoever asks then
decides by asking it. One that ends in an orderly way says so, and is listed as `left` for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from re import compile as pattern

from services.common.wsgi import ApiError

LEASE_MIN_S, LEASE_MAX_S, LEASE_DEFAULT_S = 1.0, 300.0, 6.0
LAPSED_KEPT_S = 600.0
LEFT_KEPT_S = 60.0
#: Of one service; a full one locks out no other.
INSTANCES_MAX = 1000
NAME = pattern(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")

Key = tuple[str, str]  # service, instance


@dataclass(frozen=True, slots=True)
class Instance:
    """A registered instance. `expires_at` is on the registry's own monotonic clock, in seconds."""

    service: str
    instance: str
    address: str
    port: int
    lease_s: float
    expires_at: float


Save = Callable[[tuple[Instance, ...]], None]


class Leases:
    """All instances that registered and did not leave. Safe in threads.

    `restored` are those of a former process: each has one lease's time to renew.
    `save` gets the whole table whenever an instance comes or goes.
    """

    def __init__(
        self,
        networks: tuple[IPv4Network, ...],
        clock: Callable[[], float] = time.monotonic,
        restored: Iterable[Instance] = (),
        save: Save = lambda _: None,
    ) -> None:
        self._networks = networks
        self._clock = clock
        self._lock = threading.Lock()
        self._started = now = clock()
        self._known: dict[Key, Instance] = {
            (entry.service, entry.instance): replace(entry, expires_at=now + entry.lease_s)
            for entry in restored
            if is_host_of(networks, entry.address)
        }
        self._left: dict[Key, Instance] = {}  # each expired when it left
        self._save = save
        self.heartbeats = 0  #: leases that were renewed

    @property
    def uptime_s(self) -> float:
        return self._clock() - self._started

    def register(
        self, service: str, instance: str, body: Mapping[str, object], source: str
    ) -> bool:
        """Make the instance at `source` known, or replace it; say whether it is new.

        Raises: ApiError 400, 403 (another's address), 409 (another's name), 507.
        """
        entry = parse(service, instance, body, self._networks)
        if entry.address != source:
            message = f"address: an instance registers its own, and this request is from {source}"
            raise ApiError(403, "not_yours", message, field="address")
        with self._lock:
            now = self._forget()
            held = self._known.get((service, instance))
            live = held is not None and held.expires_at > now
            if held and live and held.address != source:
                message = f"{instance} is registered at another address, and its lease is running"
                raise ApiError(409, "name_taken", message)
            self._make_room(entry, now)
            self._known[service, instance] = replace(entry, expires_at=now + entry.lease_s)
            self._left.pop((service, instance), None)
            if held is None or held.address != source or held.port != entry.port:
                self._save(tuple(self._known.values()))
            return not live

    def renew(self, service: str, instance: str, source: str) -> bool:
        """Renew a lease; say whether there was one. Raises: ApiError 403."""
        with self._lock:
            now = self._forget()
            entry = self._known.get((service, instance))
            if entry is None or entry.expires_at <= now:
                return False
            _require_owner(entry, source)
            renewed = replace(entry, expires_at=now + entry.lease_s)
            self._known[service, instance] = renewed
            self.heartbeats += 1
            return True

    def remove(self, service: str, instance: str, source: str) -> bool:
        """Note that an instance has left; say whether it was known. Raises: ApiError 403."""
        with self._lock:
            now = self._forget()
            entry = self._known.get((service, instance))
            if entry is None:
                return False
            _require_owner(entry, source)
            del self._known[service, instance]
            self._left[service, instance] = replace(entry, expires_at=now)
            self._save(tuple(self._known.values()))
            return True

    def live(self, service: str | None = None) -> list[Instance]:
        """Give the instances with a running lease, of one service or of all, by name."""
        return self._select(service, lapsed=False)

    def lapsed(self, service: str | None = None) -> list[Instance]:
        """Give the instances that neither renewed their lease nor left."""
        return self._select(service, lapsed=True)

    def left(self) -> list[Instance]:
        """Give the instances that said lately that they end."""
        with self._lock:
            self._forget()
            return [self._left[key] for key in sorted(self._left)]

    def left_s(self, entry: Instance) -> float:
        return max(0.0, entry.expires_at - self._clock())

    def _select(self, service: str | None, lapsed: bool) -> list[Instance]:
        with self._lock:
            now = self._forget()
            return [
                entry
                for key, entry in sorted(self._known.items())
                if service in {None, key[0]} and (entry.expires_at <= now) == lapsed
            ]

    def _make_room(self, entry: Instance, now: float) -> None:
        """Forget what the entry takes the place of. Raises: ApiError 507."""
        own = [other for other in self._known.values() if other.service == entry.service]
        others = [other for other in own if other.instance != entry.instance]
        for other in others:
            if other.address == entry.address:  # An address has one instance of a service.
                del self._known[other.service, other.instance]
                return
        if len(others) >= INSTANCES_MAX:
            oldest = min(others, key=lambda other: other.expires_at)
            if oldest.expires_at > now:
                message = f"{INSTANCES_MAX} instances of {entry.service} are registered"
                raise ApiError(507, "registry_full", message)
            del self._known[oldest.service, oldest.instance]

    def _forget(self) -> float:
        """Forget what lapsed or left long ago; give the time."""
        now = self._clock()
        for table, kept_s in ((self._known, LAPSED_KEPT_S), (self._left, LEFT_KEPT_S)):
            for key in [key for key, entry in table.items() if entry.expires_at <= now - kept_s]:
                del table[key]
        return now


def parse(
    service: str, instance: str, body: Mapping[str, object], networks: Iterable[IPv4Network]
) -> Instance:
    """Read a registration. Raises: ApiError 400."""
    for field, name in (("service", service), ("instance", instance)):
        if not NAME.fullmatch(name):
            raise _bad(field, "must be lower-case letters, digits and hyphens, up to 63")
    if instance != service and not instance.startswith(f"{service}-"):
        raise _bad("instance", f"must be {service}, or {service}-SOMETHING")
    unknown = sorted(set(body) - {"address", "port", "lease_s"})
    if unknown:
        raise _bad(unknown[0], "is not a field of a registration")
    address, port, lease_s = body.get("address"), body.get("port"), body.get("lease_s")
    if not isinstance(address, str) or not is_host_of(networks, address):
        raise _bad("address", "must be an address of a host in the platform's networks")
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise _bad("port", "must be a whole number from 1 to 65535")
    lease_s = LEASE_DEFAULT_S if lease_s is None else lease_s
    if (
        not isinstance(lease_s, int | float)
        or isinstance(lease_s, bool)
        or not LEASE_MIN_S <= lease_s <= LEASE_MAX_S
    ):
        raise _bad("lease_s", f"must be from {LEASE_MIN_S:g} to {LEASE_MAX_S:g} seconds")
    return Instance(service, instance, address, port, float(lease_s), 0.0)


def is_host_of(networks: Iterable[IPv4Network], text: str) -> bool:
    """Say whether a text is the address of a service: in a network, and no reserved one of it."""
    try:
        address = IPv4Address(text)
    except ValueError:
        return False
    return any(
        address in network
        and address not in {network[0], network[1], network.broadcast_address}  # [1] is the gateway
        for network in networks
    )


def _require_owner(entry: Instance, source: str) -> None:
    if entry.address != source:
        message = f"{entry.instance} is at another address than this request's, {source}"
        raise ApiError(403, "not_yours", message)


def _bad(field: str, why: str) -> ApiError:
    return ApiError(400, "bad_registration", f"{field}: {why}", field=field)
