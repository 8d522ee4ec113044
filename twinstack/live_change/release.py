"""Release another version of a service into a running world, without a failed request.

Rolling: replica after replica. Blue/green: as many new replicas beside the old, which are then
drained at once. Canary: a few replicas first, which a judge compares with the others. A release is
a record (`twinstack.model.releases`) and what changes is done by `Rolling`: drained, `up`, awaited.
If anything fails meanwhile, the replicas that changed get their former version back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from twinstack.errors import TwinstackError
from twinstack.live_change.rolling import Rolling
from twinstack.model import releases
from twinstack.model import scale as scales
from twinstack.model.bounds import UP_TIMEOUT_S
from twinstack.model.releases import ServiceRelease
from twinstack.model.scale import Scale
from twinstack.software import versions
from twinstack.world import LocalWorld

How = Literal["rolling", "blue-green", "canary"]
HOWS: tuple[How, ...] = ("rolling", "blue-green", "canary")
#: What a comparison of canaries with the other replicas decides.
Opinion = Literal["worse", "not worse", "cannot tell"]
#: Compares replicas of a version with the others of their service, while they serve.
Judge = Callable[[LocalWorld, frozenset[str], frozenset[str]], Opinion]


@dataclass(frozen=True, slots=True)
class Releasing:
    """Changes of versions in a running world."""

    rolling: Rolling
    repository: Path
    judge: Judge  # of canaries

    def release(self, service: str, source: Path, how: How, *, share: int = 1) -> Opinion:
        """Give a service the version in a `services/` directory: "not worse" if all have it then.

        `share` is the number of canaries: those that are "worse" are taken back; where the judge
        "cannot tell" they stay.
        Raises: TwinstackError for what cannot be released; as `Rolling`, after everything that
        changed was taken back.
        """
        topology = self.rolling.topology
        releases.check(topology, service)
        versions.check_source(source, self.repository, topology.services[service].module or "")
        world = self.rolling.settled()
        total = len(world.plan.replicas_of(service))
        if how == "canary":
            releases.check_share(share, total, service)
        current, version = releases.of(world.plan.releases, service), versions.name_of(source)
        if current.versions == (version,):
            remedy = "change its files, or name another directory"
            raise TwinstackError(str(source), "is not released", f"{service} runs it", remedy)
        if how == "rolling" and total == 1:
            how = "blue-green"  # its only replica needs one beside it
        if how == "blue-green":  # whether there are addresses
            scales.changed(topology, world.plan.scale, service, 2 * total)
        self.rolling.revive(world, service)
        versions.keep(source, world.versions_directory)
        self.rolling.progress(f"{service}: version {version}, {how}")
        return self._change(world, releases.begun(current), version, how, share)

    def roll_back(self, service: str) -> None:
        """Give a service's replicas the version from before its release, one after another.

        Raises: TwinstackError where there is none; as `Rolling`.
        """
        releases.check(self.rolling.topology, service)
        world = self.rolling.settled()
        current = releases.of(world.plan.releases, service)
        releases.check_released(current)
        self.rolling.revive(world, service)
        how: How = "rolling" if len(world.plan.replicas_of(service)) > 1 else "blue-green"
        self.rolling.progress(f"{service}: back to {_words(current.before)}")
        self._change(world, current, current.before, how)

    def _change(
        self, world: LocalWorld, release: ServiceRelease, version: str, how: How, share: int = 1
    ) -> Opinion:
        service = release.service
        opinion: Opinion = "not worse"
        former, scale = releases.of(world.plan.releases, service), world.plan.scale
        release = releases.changing(release, former)
        total = len(world.plan.replicas_of(service))
        try:
            if how == "blue-green":
                self._blue_green(world, release, version, total)
            if how == "canary":
                for stage in releases.canaries(release, version, total, share):
                    release, world = stage, self._to(world, stage)
                opinion = self._judged(world, service, version)
            if how != "blue-green" and opinion == "not worse":
                for stage in releases.rolling(release, version, total):
                    world = self._to(world, stage)
        except BaseException:
            self._take_back(former, scale)
            raise
        if opinion == "worse":
            self._take_back(former, scale)
        else:
            world = self.rolling.at()
            self._to(world, releases.changed(releases.of(world.plan.releases, service)))
        return opinion

    def _blue_green(
        self, world: LocalWorld, release: ServiceRelease, version: str, total: int
    ) -> None:
        """Let new replicas beside the old take over at once; the old end when those are healthy.

        Then they return as the new version, and what stood beside them ends.
        """
        service, scale = release.service, world.plan.scale
        doubled = scales.changed(self.rolling.topology, scale, service, 2 * total)
        green = dict.fromkeys(range(total + 1, 2 * total + 1), version)
        world = self._to(world, releases.assigned(release, green, 2 * total), doubled)
        serving = [each.name for each in world.plan.replicas_of(service) if each.number in green]
        done = releases.completed(release, version)
        world = self._to(world, done, doubled, serving=serving)
        self._to(world, done, scale)

    def _judged(self, world: LocalWorld, service: str, version: str) -> Opinion:
        replicas = world.plan.replicas_of(service)
        canaries = frozenset(each.name for each in replicas if each.version == version)
        others = frozenset(each.name for each in replicas) - canaries
        self.rolling.progress(f"{', '.join(sorted(canaries))}: compared with the others")
        return self.judge(world, canaries, others)

    def _take_back(self, former: ServiceRelease, scale: Scale) -> None:
        """Return to a record: all that are ill at once, then one replica after another."""
        service = former.service
        self.rolling.progress(f"{service}: taking back what changed")
        world = self.rolling.at()
        present = releases.of(world.plan.releases, service)
        total = len(world.plan.replicas_of(service))
        well = {state.name for state in world.status() if state.state == "healthy"}
        changed = [
            replica
            for replica in self.rolling.at(scale).plan.replicas_of(service)
            if present.version(replica.number) != former.version(replica.number)
        ]
        ill = [replica.number for replica in changed if replica.name not in well]
        rest = [[replica.number] for replica in changed if replica.name in well]
        patient = replace(self.rolling, timeout_s=max(self.rolling.timeout_s, UP_TIMEOUT_S))
        releasing = replace(self, rolling=patient)
        for numbers in filter(None, [ill, *rest]):
            back = {number: former.version(number) for number in numbers}
            present = releases.assigned(present, back, total)
            world = releasing._to(world, present, forced=True)
        releasing._to(world, former, scale, forced=True)

    def _to(
        self, world: LocalWorld, release: ServiceRelease, scale: Scale | None = None, **how: Any
    ) -> LocalWorld:
        target = self.rolling.at(scale, releases.recorded(world.plan.releases, release))
        return self.rolling.bring_to(world, target, release.service, **how)


def _words(version: str) -> str:
    return f"version {version}" if version else "this checkout's version"
