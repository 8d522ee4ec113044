"""The stack on a Swarm of real engines: it answers, survives the loss of a worker, and goes.

The sample is one story: an `up` that is struck again and again, each time going on from there; a
worker lost and back; a third host; a `down` that is struck. `invoke check.swarm` strikes every
step, each from nothing.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.docker_steps import Point
from tests.support.own_engine import print_nothing
from tests.support.sandbox import eventually
from tests.support.swarm_steps import (
    INSTANCE,
    KILLED,
    fetch,
    left,
    published_port,
    run_child,
    snapshot,
    status_of,
    swarm,
)
from twinstack.compose.engine import ensure_engine
from twinstack.errors import Locked, NotOurs, StepFailed, TwinstackError
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths
from twinstack.swarm import hosts, teardown
from twinstack.swarm.nodes import SwarmNode
from twinstack.swarm.teardown import down
from twinstack.swarm.world import SwarmWorld

pytestmark = pytest.mark.docker
RESCHEDULED_WITHIN_S = 30.0
BUILD = "images: build"
#: Struck in the sample, one after the other, each `up` going on from where the last one died.
STRUCK = (
    Point("hosts", "after"),
    Point("engine host-2", "after"),
    Point("images host-2", "during"),
    Point("stack", "after"),
)


def steps() -> list[str]:
    """Name the steps that `up` would take now."""
    return [change.step.name for change in swarm(2).preview().changes]


@pytest.fixture(scope="module")
def before(images: None) -> Iterator[dict[str, str]]:
    """Snapshot the machine; whatever a test leaves is removed at the end."""
    down(INSTANCE, progress=print_nothing)
    yield snapshot()
    down(INSTANCE, progress=print_nothing)


@pytest.fixture(scope="module")
def cluster(
    before: dict[str, str], tmp_path_factory: pytest.TempPathFactory, full: bool
) -> SwarmWorld:
    """Give a cluster of two that came up although it was struck again and again."""
    log = tmp_path_factory.mktemp("swarm") / "log"
    every = [Point(name, "after") for name in steps()]
    for point in every if full else STRUCK:
        if full and point.step not in steps():
            continue  # done together with the one that was struck
        code, printed = run_child("up", 2, log, point)
        assert code == (1 if point.fault == "during" else KILLED), (point, printed)
    made = swarm(2)
    states = made.up(timeout_s=120, progress=print_nothing)
    assert {state.state for state in states} == {"healthy"}
    return made


def test_a_struck_up_is_cleared_by_down_whenever_that_was(
    before: dict[str, str],
    full: bool,
    tell: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
):
    log = tmp_path_factory.mktemp("swarm") / "log"
    titles = [BUILD, *steps()]
    points = [Point(*both) for both in itertools.product(titles, ("before", "after", "during"))]
    chosen = points if full else [Point("engine host-2", "after")]
    for point in chosen:
        code, printed = run_child("up", 2, log, point)
        assert code == (1 if point.fault == "during" else KILLED), (point, printed)
        down(INSTANCE, progress=print_nothing)
        assert left(before) == [], point
        assert down(INSTANCE, progress=print_nothing) == ()
    moments = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0) if full else (1.3,)
    for moment in moments:
        run_child("up", 2, log, after_s=moment)
        down(INSTANCE, progress=print_nothing)
        assert left(before) == [], moment
    tell(
        f"swarm.up: points injected: {len(chosen)} of {len(points)} ({len(titles)} steps × 3), "
        f"and killed at {len(moments)} moments"
    )


def test_a_foreign_namespace_is_refused_before_anything_is_made_and_stays(
    before: dict[str, str],
):
    name = swarm(2).nodes[1].namespace.name
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with pytest.raises(NotOurs, match=f"namespace {name}: is not ours"):
            swarm(2).up(timeout_s=10, progress=print_nothing)
        assert down(INSTANCE, progress=print_nothing) == ()
        assert swarm(2).nodes[1].namespace.exists()
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
    assert left(before) == []


def test_an_engine_that_does_not_stop_keeps_the_files_it_is_found_by(
    before: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    made = swarm(2)
    hosts.make(made.nodes, made.underlay)
    ensure_engine(made.nodes[0].engine, print_nothing).close()

    def refuse(_node: object) -> bool:
        raise StepFailed("engine", "does not end")

    with monkeypatch.context() as patched:
        patched.setattr(teardown, "stop_engine", refuse)
        with pytest.raises(TwinstackError, match="does not end"):
            down(INSTANCE, progress=print_nothing)
    assert any(line.startswith("+ processes: dockerd") for line in left(before))
    assert "engine host-1" in down(INSTANCE, progress=print_nothing)
    assert left(before) == []


def test_a_second_command_names_the_holder_of_the_lock(before: dict[str, str]):
    with locked(InstancePaths(INSTANCE), "swarm"):
        with pytest.raises(Locked, match="by pid"):
            swarm(2).up(timeout_s=10, progress=print_nothing)
        with pytest.raises(Locked, match="by pid"):
            down(INSTANCE, progress=print_nothing)


def test_the_stack_answers_on_every_node_and_every_replica_serves(cluster: SwarmWorld):
    gateway, edge = published_port(cluster, "api-gateway"), published_port(cluster, "nginx-lb")
    for node, port in itertools.product(cluster.nodes, (gateway, edge)):

        def lists_products(node: SwarmNode = node, port: int = port) -> bool:
            body = fetch(node, f"http://localhost:{port}/api/products")
            return bool(json.loads(body or "{}").get("products"))

        # Every task is healthy, but a gateway asks the registry only once a second.
        eventually(lists_products, within_s=10)
        assert status_of(node, f"http://localhost:{edge}/health") == "200"
    wanted = {f"product-service-{number}" for number in (1, 2, 3)}
    served: set[str] = set()

    def all_serve() -> bool:
        url = f"http://localhost:{edge}/api/products"
        headers = fetch(cluster.nodes[0], url, "-o", "/dev/null", "-D", "-")
        served.update(re.findall(r"(?im)^x-served-by: (\S+)", headers))
        return wanted <= served

    eventually(all_serve, within_s=10)
    where = {row.where for row in cluster.status() if row.service == "product-service"}
    assert len(where) == 2


def test_a_host_only_port_is_closed_to_other_hosts(cluster: SwarmWorld):
    first, second = cluster.nodes
    gateway, edge = published_port(cluster, "api-gateway"), published_port(cluster, "nginx-lb")
    assert status_of(first, f"http://{second.address}:{edge}/health") == "200"
    words = ("--connect-timeout", "1", "-o", "/dev/null", "-w", "%{http_code}")
    assert fetch(first, f"http://{second.address}:{gateway}/health", *words) == "000"


def test_a_second_up_has_nothing_to_do(cluster: SwarmWorld):
    assert cluster.preview().changes == ()


def test_a_lost_workers_tasks_move_and_it_joins_again(
    cluster: SwarmWorld, tell: Callable[[str], None]
):
    manager, worker = cluster.nodes
    edge = published_port(cluster, "nginx-lb")
    url = f"http://localhost:{edge}/api/products"
    moved = {row.name for row in cluster.status() if row.where == worker.name}
    assert cluster.lose(worker.name)
    answers: list[str] = []

    def made_up_for() -> bool:
        time.sleep(0.5)
        answers.append(status_of(manager, url))
        rows = [row for row in cluster.status() if not row.name.endswith(worker.name)]
        elsewhere = all((row.state, row.where) == ("healthy", manager.name) for row in rows)
        return elsewhere and answers[-1] == "200"

    took = eventually(made_up_for, within_s=RESCHEDULED_WITHIN_S)
    tell(
        f"a worker lost with {len(moved)} tasks: all on the other after {took:.1f} s; "
        f"{answers.count('200')} of {len(answers)} requests meanwhile answered"
    )
    start = time.monotonic()
    assert cluster.preview().changes != ()
    cluster.up(timeout_s=60, progress=print_nothing)
    assert all(member.ready for member in cluster.facts().members)
    assert status_of(worker, url) == "200"
    tell(f"the worker is back after {time.monotonic() - start:.1f} s")


def test_a_third_host_joins_serves_its_published_port_and_goes_again(cluster: SwarmWorld):
    wider = swarm(3)
    states = wider.up(timeout_s=120, progress=print_nothing)
    assert {state.state for state in states} == {"healthy"}
    edge = published_port(wider, "nginx-lb")
    assert status_of(wider.nodes[2], f"http://localhost:{edge}/api/products") == "200"
    assert {state.state for state in cluster.up(timeout_s=120, progress=print_nothing)} == {
        "healthy"
    }
    assert [member.name for member in cluster.facts().members] == ["host-1", "host-2"]
    assert not wider.nodes[2].namespace.exists()


def test_a_struck_down_is_finished_by_the_next_and_leaves_nothing(
    cluster: SwarmWorld,
    before: dict[str, str],
    full: bool,
    tmp_path_factory: pytest.TempPathFactory,
):
    log = tmp_path_factory.mktemp("swarm") / "log"
    struck = (
        Point("engine host-1: stop", "after"),
        Point("engine host-2", "before"),
        Point(f"namespace ts-{INSTANCE}-host-1", "after"),
    )
    for point in struck if full else struck[1:]:
        assert run_child("down", 3, log, point)[0] == KILLED, point
    assert run_child("down", 3, log) == (0, "")
    assert left(before) == []
    assert down(INSTANCE, progress=print_nothing) == ()
