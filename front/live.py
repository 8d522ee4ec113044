"""Live changes of a running world: the tasks that `net` and `docker` both have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from invoke.context import Context

from front.options import one_of, world_of
from front.reporting import end, say, show_states, task
from twinstack import stack
from twinstack.errors import NOT_SO, NOTHING, WrongUse
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:
    from twinstack.live_change.release import How, Opinion
    from twinstack.live_change.rolling import Rolling
    from twinstack.model.releases import Releases
    from twinstack.model.scale import Scale
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


#: The exit code of each opinion of a canary.
_CODES: Mapping[str, int] = {"not worse": 0, "worse": NOT_SO, "cannot tell": NOTHING}


def tasks(world: str) -> tuple[Any, Any, Any]:
    """Declare a world's tasks: restart, scale and release."""

    @task(help=RESTART)
    def restart(
        _: Context, service: str, timeout: int = bounds.UP_TIMEOUT_S, json: bool = False
    ) -> None:
        """Restart a service, replica after replica, without a failed request."""
        require_root(f"{world}.restart")
        _change(world, timeout, json, lambda rolling: rolling.restart(service))

    @task(help=SCALE)
    def scale(
        _: Context, service: str, timeout: int = bounds.UP_TIMEOUT_S, json: bool = False
    ) -> None:
        """Give a service another number of replicas without a failed request: SERVICE=N."""
        from twinstack.model.scale import parse

        name, replicas = parse(service)
        require_root(f"{world}.scale")
        _change(world, timeout, json, lambda rolling: rolling.scale(name, replicas))

    @task(help=RELEASE)
    def release(
        _: Context,
        service: str,
        from_: str = "",
        how: str = "rolling",
        share: int = 1,
        seconds: int = 60,
        rollback: bool = False,
        timeout: int = bounds.UP_TIMEOUT_S,
        json: bool = False,
    ) -> None:
        """Give a service another version, from another checkout, without a failed request."""
        _release(world, service, from_, how, share, seconds, rollback, timeout, json)

    return restart, scale, release


def _release(
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
    from twinstack.live_change import canary
    from twinstack.live_change.release import HOWS, Releasing

    one_of("how", how, HOWS)
    bounds.within("seconds", seconds, 20, bounds.MOST_SECONDS)
    if bool(source) == rollback:
        cause, remedy = "it takes one of --from and --rollback", "give one of them"
        raise WrongUse(f"{world}.release", "cannot be done", cause, remedy)
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
    end(max(map(_CODES.__getitem__, opinions), default=0))


def _change(world: str, timeout: int, json: bool, act: Callable[[Rolling], None]) -> None:
    from twinstack.live_change.rolling import Rolling

    bounds.timeout(timeout)
    topology = stack.from_environment().topology()

    def at(scale: Scale | None = None, releases: Releases | None = None) -> LocalWorld:
        return world_of(world, scale=scale, releases=releases)

    act(Rolling(topology, at, timeout, say))
    show_states(world_of(world).status(), json)
