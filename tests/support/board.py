"""The real dashboard server over samples that a test makes, with any figure, moment and state."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from tests.support.bench_fakes import FakeWorld
from tests.support.core_cases import edited_plan
from tests.support.details import made_detail
from tests.support.project import ROOT
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.dashboard import server
from twinstack.observe.detail.looks import Looks
from twinstack.observe.detail.read import ReplicaDetail
from twinstack.observe.live.feed import Feed
from twinstack.observe.live.model import EdgeSample, Health, ReplicaSample, Share, WorldSample
from twinstack.observe.live.samples import key_of
from twinstack.world import LocalWorld

WORLDS: tuple[WorldName, ...] = ("net", "docker")


def sample(
    world: WorldName,
    plan: Plan,
    at: float,
    *,
    rate: float | None = 1118.4,
    mean_ms: float = 2.4,
    states: Mapping[str, Health] | None = None,
    **more: Any,
) -> bytes:
    """Make a line of a world in which everything is busy; `states` of replicas that are not up."""
    names = [replica.name for replica in plan.replicas]
    replicas = tuple(
        ReplicaSample(
            name=replica.name,
            service=replica.service,
            state=(states or {}).get(replica.name, "up"),
            detail="it does not answer" if replica.name in (states or {}) else "",
            pid=100,
            took_ms=mean_ms,
            cpus=0.97,
            cpu_limit=1.0,
            throttled=1.0,
            memory_bytes=193_700_000,
            memory_limit=201_000_000,
            in_bytes_per_s=123_400_000.0,
            out_bytes_per_s=123_400_000.0,
        )
        for replica in plan.replicas
    )
    edges = (
        *(EdgeSample("world", name, rate) for name in names if name.startswith("nginx-lb")),
        *(
            EdgeSample(source.name, target.name, rate, mean_ms, 0.0)
            for flow in plan.flows
            for source in plan.replicas_of(flow.source)
            for target in plan.replicas_of(flow.destination)
        ),
    )
    services = [name for name in names if name.startswith(("product", "order"))]
    made = WorldSample(
        world=world,
        at=at,
        up=True,
        shape=plan.shape,
        key=key_of(plan),
        rate=rate,
        total=1,
        mean_ms=mean_ms,
        failed_per_s=0.0,
        cpus=7.31,
        memory_bytes=1_343_000_000,
        conntrack=262_144,
        conntrack_limit=262_144,
        replicas=replicas,
        edges=edges,
        balance=tuple(Share("product-service", name, 0.33, 12_345.6) for name in services),
        registry=tuple(
            {"instance": name, "address": "172.30.104.100", "port": 5000, "expires_in_s": 5.4}
            for name in services
        ),
        **more,
    )
    return json.dumps(asdict(made)).encode()


@dataclass
class Board:
    """A dashboard of both worlds, which shows what it is fed."""

    feed: Feed
    plans: dict[WorldName, Plan]
    url: str
    stop: Callable[[], None]
    #: What it shows of one replica; a test may give another.
    detail: Callable[[WorldName, Plan, str], ReplicaDetail] = field(default=made_detail)

    def look(self, world: LocalWorld, name: str, _pid: int | None) -> ReplicaDetail:
        """Look at a replica."""
        return self.detail(world.name, world.plan, name)

    def take(self, world: WorldName, at: float, **figures: Any) -> None:
        """Feed a sample."""
        self.feed.take(world, sample(world, self.plans[world], at, **figures))

    def recall(self, world: WorldName, at: float, **figures: Any) -> None:
        """Feed a sample of the world's own figures alone: an hour of them takes no time."""
        plan = self.plans[world]
        made = WorldSample(world, at, True, plan.shape, key_of(plan), **figures)
        self.feed.take(world, json.dumps(asdict(made)).encode())

    def remember(self, seconds: int, **figures: Any) -> None:
        """Feed both worlds one sample a second, up to now."""
        now = time.time()
        for at in range(seconds, -1, -1):
            for world in self.plans:
                self.take(world, now - at, **figures)

    @contextmanager
    def speaking(self, *worlds: WorldName, **figures: Any) -> Iterator[None]:
        """Feed worlds a sample twice a second while the block lasts."""
        ended = threading.Event()

        def speak() -> None:
            while not ended.wait(0.5):
                for world in worlds:
                    self.take(world, time.time(), **figures)

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def board(replicas: int = 3, port: int = 0) -> Iterator[Board]:
    """Serve a dashboard of two worlds with so many product services; 0: on any port."""
    plans: dict[WorldName, Plan] = {
        world: edited_plan(lambda d: d["services"]["product-service"].update(replicas=replicas))
        for world in WORLDS
    }
    feed = Feed(WORLDS)
    with server.listen(feed, lambda: dict(plans), ROOT, port) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()

        def stop() -> None:
            feed.end()
            listening.shutdown()
            thread.join()
            listening.server_close()

        try:
            made = Board(feed, plans, f"http://127.0.0.1:{listening.port}/", stop)
            find = {name: partial(FakeWorld, name, 1, plan) for name, plan in plans.items()}
            listening.looks = Looks(feed, find, made.look)
            yield made
        finally:
            stop()
