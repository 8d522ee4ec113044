"""Which replica runs which version of the services, where it is not this checkout's. Pure.

A version is named by the digest of its `services/` directory. A release is a record, like a scale:
the plan that is resolved with it differs in those replicas alone, and `up` takes the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from twinstack.errors import TwinstackError, WrongUse
from twinstack.model.runtimes import REGISTRY
from twinstack.model.scale import check_service
from twinstack.model.topology import Topology

#: The version that this checkout holds: it follows every edit.
CHECKOUT = ""


@dataclass(frozen=True, slots=True)
class ServiceRelease:
    """The versions of one service."""

    service: str
    versions: tuple[str, ...]  # by the replica's number; the last one is every further replica's
    before: str = CHECKOUT  # what a rollback returns to
    former: tuple[str, ...] = ()  # while it changes: what it would be taken back to

    def version(self, number: int) -> str:
        """Give the version of a replica, by its number from 1."""
        return self.versions[min(number, len(self.versions)) - 1]

    @property
    def complete(self) -> bool:
        """Tell whether every replica runs the same version."""
        return len(self.versions) == 1


#: One for each service of which a replica runs, or a rollback gives, another than the checkout's.
Releases = tuple[ServiceRelease, ...]


def of(releases: Releases, service: str) -> ServiceRelease:
    """Give a service's record; without one, every replica is the checkout's."""
    found = (release for release in releases if release.service == service)
    return next(found, ServiceRelease(service, (CHECKOUT,)))


def recorded(releases: Releases, release: ServiceRelease) -> Releases:
    """Replace a service's record; one that says nothing is left out."""
    others = tuple(other for other in releases if other.service != release.service)
    if _names(release) == {CHECKOUT}:
        return others
    return tuple(sorted((*others, release), key=lambda each: each.service))


def named(releases: Releases) -> frozenset[str]:
    """List the versions that a record needs, beside the checkout's."""
    return frozenset().union(*map(_names, releases)) - {CHECKOUT}


def begun(release: ServiceRelease) -> ServiceRelease:
    """Give the record at the start of a release: a complete one is what a rollback returns to."""
    return replace(release, before=release.versions[0]) if release.complete else release


def changing(release: ServiceRelease, former: ServiceRelease) -> ServiceRelease:
    """Keep what a former record names until the change is over: it may be taken back."""
    return replace(release, former=tuple(sorted(_names(former) - {CHECKOUT})))


def changed(release: ServiceRelease) -> ServiceRelease:
    """Forget what a change would have been taken back to."""
    return replace(release, former=())


def assigned(release: ServiceRelease, versions: Mapping[int, str], total: int) -> ServiceRelease:
    """Give some of `total` replicas other versions; no other replica changes, also none to come."""
    own = [versions.get(number, release.version(number)) for number in range(1, total + 1)]
    made = (*own, release.versions[-1])
    while len(made) > 1 and made[-1] == made[-2]:
        made = made[:-1]
    return replace(release, versions=made)


def completed(release: ServiceRelease, version: str) -> ServiceRelease:
    """Give every replica, also those to come, one version."""
    return replace(release, versions=(version,))


def rolling(release: ServiceRelease, version: str, total: int) -> Iterator[ServiceRelease]:
    """Give the records that change one replica after another, in the order of their numbers."""
    changing = [number for number in range(1, total + 1) if release.version(number) != version]
    for number in changing[:-1]:
        release = assigned(release, {number: version}, total)
        yield release
    yield completed(release, version)


def canaries(
    release: ServiceRelease, version: str, total: int, share: int
) -> Iterator[ServiceRelease]:
    """Give the records up to that of `share` replicas of a version."""
    for number in range(1, share + 1):
        if release.version(number) != version:
            release = assigned(release, {number: version}, total)
            yield release


def check(topology: Topology, service: str) -> None:
    """Refuse a service that cannot be released without a failed request. Raises: TwinstackError."""
    check_service(topology.services, service)
    able = [name for name in topology.services if _is_drained(topology, name)]
    if service not in able:
        remedy = f'edit services/ and run "invoke net.up", or choose one of {", ".join(able)}'
        raise WrongUse(service, "cannot be released", "it cannot be drained", remedy)


def check_released(release: ServiceRelease) -> None:
    """Refuse a rollback where nothing was released. Raises: TwinstackError."""
    if release.versions == (release.before,):
        cause, remedy = "no other version was released", "release one with --from"
        raise TwinstackError(release.service, "cannot be rolled back", cause, remedy)


def check_share(share: int, total: int, service: str) -> None:
    """Refuse a canary that leaves no replica to be compared with. Raises: TwinstackError."""
    if not 1 <= share < total:
        cause = f"{service} has {total} replicas, and one must stay to be compared with"
        remedy = f'scale it first: "invoke net.scale {service}={max(2, share + 1)}"'
        raise WrongUse(f"--share {share}", "cannot be", cause, remedy)


def _names(release: ServiceRelease) -> frozenset[str]:
    return frozenset((*release.versions, release.before, *release.former))


def _is_drained(topology: Topology, service: str) -> bool:
    return topology.services[service].runtime == "wsgi" and service != REGISTRY
