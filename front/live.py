"""Live changes of a running world, the same in both: what `net.*` and `docker.*` tasks call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from front.options import one_of, world_of
from front.reporting import end, say, show_states
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:
    from twinstack.model.releases import Releases
    from twinstack.model.scale import Scale
    from twinstack.release import How, Opinion
    from twinstack.rolling import Rolling
    from twinstack.world import LocalWorld

RESTART = {"service": "the service, or one replica of it"}
SCALE = {"service": "SERVICE=N: so many replicas, until the world is taken down"}
RELEASE = {
    "service": "the service that gets another version, until the world is taken down",
    "from": "the services/ directory of another checkout: the version",
    "how": "rolling, blue-green or canary",
    "share": "canary: so many replicas of the new version beside the others",
    "seconds": "canary: how long both sides are compared, under the load that there is",
    "rollback": "give the service the version from before its release",
}


def restart(world: str, service: str, timeout: int, json: bool) -> None:
    """Restart a service's replicas and show the world's states."""
    require_root(f"{world}.restart")
    _change(world, timeout, json, lambda rolling: rolling.restart(service))


def scale(world: str, word: str, timeout: int, json: bool) -> None:
    """Scale a service and show the world's states. `word` is SERVICE=N."""
    from twinstack.model.scale import parse

    service, replicas = parse(word)
    require_root(f"{world}.scale")
    _change(world, timeout, json, lambda rolling: rolling.scale(service, replicas))


def release(
    world: str,
    service: str,
    source: str,
    how: str,
    share: int,
    seconds: int,
    rollback: bool,
    timeout: int,
    json: bool,
) -> None:
    """Release a version or take it back; show the world's states; exit 1 if not all have it."""
    from bench.questions import canary
    from twinstack.release import HOWS, Releasing

    one_of("how", how, HOWS)
    bounds.within("seconds", seconds, 20, bounds.MOST_SECONDS)
    if bool(source) == rollback:
        cause, remedy = "it takes one of --from and --rollback", "give one of them"
        raise TwinstackError(f"{world}.release", "cannot be done", cause, remedy)
    require_root(f"{world}.release")
    opinions: list[Opinion] = []

    def act(rolling: Rolling) -> None:
        releasing = Releasing(rolling, stack.REPOSITORY, canary.judge(say, seconds))
        if rollback:
            releasing.roll_back(service)
            return
        path = Path(source).resolve()
        opinions.append(releasing.release(service, path, cast("How", how), share=share))

    _change(world, timeout, json, act)
    if opinions == ["cannot tell"]:
        back = f"invoke {world}.release {service} --rollback"
        say(f'the canary stays: go on with --how rolling, or run "{back}"')
    end(0 if opinions in ([], ["not worse"]) else 1)


def _change(world: str, timeout: int, json: bool, act: Callable[[Rolling], None]) -> None:
    from twinstack.rolling import Rolling

    bounds.timeout(timeout)
    topology = stack.from_environment().topology()

    def at(scale: Scale | None = None, releases: Releases | None = None) -> LocalWorld:
        return world_of(world, scale=scale, releases=releases)

    act(Rolling(topology, at, timeout, say))
    show_states(world_of(world).status(), json)
