"""The worlds that a question is asked of: brought up where they are not, and left as they were.

A world that is up is measured as it runs, with or without limits: nothing here changes it unasked.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from bench.engine.arm import Arm
from bench.engine.experiment import Stage
from bench.engine.show import wrap
from twinstack.errors import CannotTell, Locked, NotHealthy, WrongUse
from twinstack.linux.cgroup import ControlGroup
from twinstack.model import bounds
from twinstack.model.topology import WorldName
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

#: The service at the edge: its published port is where clients enter.
EDGE = "nginx-lb"
#: What a result says where the policy was lifted.
POLICY_LIFTED = wrap(
    "The policies were lifted meanwhile, in every world alike, as this loads services behind "
    "their edge. They are enforced again."
)
NAMES: tuple[WorldName, ...] = ("net", "docker")
#: Not restarted for a deployment: they keep what the others work on.
_STATEFUL = frozenset({"redis-cache", "postgres-db", "service-registry"})
_RESTART_S, _RESTART_POLL_S = 60.0, 0.25


@dataclass(frozen=True, slots=True)
class Former:
    """How a world was before."""

    shape: str | None  # None: it was down
    limited: bool


def named(world: str, option: str = "--world") -> WorldName:
    """Parse the name of a world. Raises: WrongUse when there is no such world."""
    for name in NAMES:
        if world == name:
            return name
    raise WrongUse(option, f"cannot be {world}", "a world is net or docker", "choose one")


def as_it_runs(stack: Stack, name: WorldName, shape: str | None = None) -> LocalWorld:
    """Give a world with the limits that it has now (the plan's, where it is down)."""
    if name == "net":
        return stack.net(shape)
    world = stack.docker(shape)
    return world if limited(world) else stack.docker(shape, limited=False)


def limited(world: LocalWorld) -> bool:
    """Tell whether a world that is up has CPU limits, as the kernel sees it. Raises: CannotTell."""
    pids = [state.pid for state in world.status() if state.pid is not None]
    try:
        return not pids or any(ControlGroup.of(pid).limits().cpus is not None for pid in pids)
    except OSError as error:
        raise CannotTell(f"the {world.name} world", "cannot be looked at", str(error)) from error


def ready(stack: Stack, name: WorldName, shape: str | None, progress: Progress) -> LocalWorld:
    """Give a world that is up and healthy, bringing it up where it is not."""
    world = as_it_runs(stack, name, shape)
    shape = world.plan.shape
    if _shape(stack, name) != shape or any(state.state != "healthy" for state in world.status()):
        progress(f"the {name} world is not up in its {shape} shape: bringing it up")
        world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
    return world


def both(stack: Stack, shape: str | None, progress: Progress) -> tuple[LocalWorld, LocalWorld]:
    """Give both worlds, up and healthy, in one shape: the given one, else what runs."""
    shape = shape or stack.net_shape() or stack.docker_shape()
    return ready(stack, "net", shape, progress), ready(stack, "docker", shape, progress)


def asked(
    stack: Stack, world: str, shape: str | None, progress: Progress
) -> tuple[LocalWorld, ...]:
    """Give "both" worlds, or the named one, up and healthy. Raises: WrongUse for another."""
    if world == "both":
        return both(stack, shape, progress)
    return (ready(stack, named(world), shape, progress),)


def former(stack: Stack, name: WorldName) -> Former:
    """See how a world is now. Raises: CannotTell for a journal that cannot be read."""
    shape = _shape(stack, name)
    if shape is None:
        return Former(None, True)
    return Former(shape, as_it_runs(stack, name, shape).plan.replicas[0].limits is not None)


def _shape(stack: Stack, name: WorldName) -> str | None:
    return stack.net_shape() if name == "net" else stack.docker_shape()


def probed(stack: Stack) -> bool:
    """Tell whether Docker's world is up: its health probes come in beats, all the while."""
    return _shape(stack, "docker") is not None


@contextmanager
def lifted(worlds: Iterable[LocalWorld], *, policy: bool = False) -> Iterator[None]:
    """Lift the edge's rate limit while the block lasts, or the whole `policy`.

    One client is the whole load of a benchmark, and some load services behind their edge. All of
    it is enforced again in any case; a world that enforces nothing is left alone.
    """
    with ExitStack() as stack:
        for world in worlds:
            if world.plan.policy:
                stack.callback(world.apply_policy, policy=True, rate_limit=True)
                world.apply_policy(policy=not policy, rate_limit=False)
        yield


def redeployed(
    worlds: Sequence[LocalWorld], arms: Callable[[], Iterable[Arm]], progress: Progress
) -> Stage:
    """Give the stage of an experiment on worlds: their services restart for each deployment."""

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        restart(worlds, progress)
        yield tuple(arms())

    return stage


def restart(worlds: Sequence[LocalWorld], progress: Progress) -> None:
    """End the stateless services of worlds, and wait until their supervisors have new ones healthy.

    Hash seeds and address layout are drawn with each process. Raises: NotHealthy.
    """
    old = {world.name: _stateless(world) for world in worlds}
    for pids in old.values():
        for pid in pids.values():
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _RESTART_S
    for world in worlds:
        while not _renewed(world, old[world.name]):
            if time.monotonic() > deadline:
                cause, remedy = f"within {_RESTART_S:g} s", f'see "invoke {world.name}.status"'
                raise NotHealthy(f"the {world.name} world", "does not restart", cause, remedy)
            time.sleep(_RESTART_POLL_S)


def _stateless(world: LocalWorld) -> dict[str, int]:
    """Give the running processes that are restarted; a replica may be down."""
    services = {replica.name: replica.service for replica in world.plan.replicas}
    pids = world.main_pids()
    return {name: pid for name, pid in pids.items() if services.get(name) not in _STATEFUL}


def _renewed(world: LocalWorld, old: Mapping[str, int]) -> bool:
    pids = world.main_pids()
    fresh = all(pids.get(name, pid) != pid for name, pid in old.items())
    return fresh and all(state.state == "healthy" for state in world.status())


@contextmanager
def left_as_it_was(stack: Stack, name: WorldName, progress: Progress) -> Iterator[Former]:
    """Restore a world's former shape, limits or absence at the end, whatever happened.

    Not where another command is changing it: the result is that command's.
    """
    was = former(stack, name)
    with ExitStack() as ends:
        ends.callback(_restore, stack, name, was, progress)
        try:
            yield was
        except Locked:
            ends.pop_all()
            raise


def _restore(stack: Stack, name: WorldName, was: Former, progress: Progress) -> None:
    world = (stack.net if name == "net" else stack.docker)(was.shape, limited=was.limited)
    if was.shape is None:
        progress(f"the {name} world was down: taking it down again")
        world.down(progress=progress)
        return
    limits = "limited" if was.limited else "without limits"
    progress(f"restoring the {name} world: {was.shape}, {limits}")
    world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
