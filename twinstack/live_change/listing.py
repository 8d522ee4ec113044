"""Who is listed: replicas are drained, and waited for, as the gateways themselves see them.

A replica that is drained leaves the registry and goes on serving until no gateway lists it, and no
service that asked it remembers it. Gateways are asked from inside their network.
"""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from twinstack.errors import StepFailed
from twinstack.linux import child, procfs
from twinstack.model.plan import Replica
from twinstack.model.runtimes import REGISTRY
from twinstack.observe.live import answers, probes
from twinstack.world import LocalWorld

#: Asks an instance to leave the registry and serve on. Source: services/common/registry_client.py.
DRAIN = signal.SIGUSR1
#: Services learn of their peers about every two seconds, with jitter.
_PEERS_S = 2.5
#: Gateways ask the registry once a second.
_LISTED_WITHIN_S = 15.0
_POLL_S = 0.1
_ASK_S = 1.0


def is_drained(replica: Replica) -> bool:
    """Tell whether a replica registers, so that it can leave."""
    return replica.runtime == "wsgi" and replica.service != REGISTRY


def drain(world: LocalWorld, names: Collection[str]) -> None:
    """Let replicas leave the registry, and wait until nobody asks them. Raises: StepFailed."""
    begun = time.monotonic()
    for process in world.processes():
        if process.replica in names and procfs.catches(process.pid, DRAIN):
            with suppress(ProcessLookupError):
                os.kill(process.pid, DRAIN)
    _until(world, lambda listed: listed.isdisjoint(names), ", ".join(sorted(names)), "listed")
    time.sleep(max(0.0, begun + _PEERS_S - time.monotonic()))


def await_listed(world: LocalWorld, service: str) -> None:
    """Wait until every gateway lists every replica of a service. Raises: StepFailed."""
    replicas = world.plan.replicas_of(service)
    if is_drained(replicas[0]):
        names = {replica.name for replica in replicas}
        _until(world, names.issubset, service, "not listed")


def unlisted(world: LocalWorld, service: str) -> tuple[str, ...]:
    """Name the replicas of a service that a gateway does not list now: a killed command's."""
    pids = world.main_pids()
    gateways = [each for each in world.plan.replicas if each.runtime == "asgi"]
    found = [counted_by(each, pids[each.name]) for each in gateways if each.name in pids]
    listed = [{each.instance for each in counts.upstreams} for counts in found if counts]
    names = [replica.name for replica in world.plan.replicas_of(service)]
    return tuple(name for name in names if any(name not in each for each in listed))


def _until(
    world: LocalWorld, is_so: Callable[[frozenset[str]], bool], name: str, failure: str
) -> None:
    """Wait until what each gateway lists is so; one that does not run has nobody to ask."""
    pids = world.main_pids()

    def is_done(gateway: Replica) -> bool:
        counts = counted_by(gateway, pids[gateway.name])
        return counts is not None and is_so(frozenset(each.instance for each in counts.upstreams))

    waiting = [each for each in world.plan.replicas if each.runtime == "asgi" and each.name in pids]
    deadline = time.monotonic() + _LISTED_WITHIN_S
    while waiting := [gateway for gateway in waiting if not is_done(gateway)]:
        if time.monotonic() > deadline:
            cause = f"for {_LISTED_WITHIN_S:g} s by {waiting[0].name}"
            remedy = f'see "invoke {world.name}.logs {waiting[0].name}"'
            raise StepFailed(name, f"is {failure}", cause, remedy)
        time.sleep(_POLL_S)


def counted_by(gateway: Replica, pid: int) -> answers.GatewayCounts | None:
    """Ask a gateway, from inside, what it counted of its upstreams; None without an answer.

    Source: services/api_gateway/traffic_stats.py.
    """
    try:
        made = child.socket_in(Path(f"/proc/{pid}/ns/net"))
        link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=_ASK_S)
        with made:
            made.settimeout(_ASK_S)
            made.connect(("127.0.0.1", gateway.port))
            link.sock = made
            link.request("GET", probes.COUNTS_PATH)
            return answers.gateway(link.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None
