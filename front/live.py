"""Live changes of a running world, the same in both: what `net.*` and `docker.*` tasks call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from front.options import world_of
from front.reporting import say, show_states
from twinstack import stack
from twinstack.model import bounds
from twinstack.world import require_root

RESTART = {"service": "the service, or one replica of it"}
SCALE = {"service": "SERVICE=N: so many replicas, until the world is taken down"}


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


def _change(world: str, timeout: int, json: bool, act: Callable[[Any], None]) -> None:
    from twinstack.rolling import Rolling

    bounds.timeout(timeout)
    topology = stack.from_environment().topology()
    act(Rolling(topology, lambda scale: world_of(world, scale=scale), timeout, say))
    show_states(world_of(world).status(), json)
