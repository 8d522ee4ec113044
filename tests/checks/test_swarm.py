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
    door,
    fetch,
    left,
    run_child,
    snapshot,
    status_of,
    swarm,
)
from twinstack.errors import Locked, NotOurs, StepFailed, TwinstackError
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths
from twinstack.swarm import engines, hosts
from twinstack.swarm.nodes import Node
from twinstack.swarm.teardown import down
from twinstack.swarm.world import SwarmWorld

pytestmark = pytest.mark.docker
RESCHEDULED_WITHIN_S = 30.0
BUILD = "images: build"
#: Struck in the sample, one after the other, each `up` going on from where the last one died.
STRUCK = (
    Point("hosts: make", "after"),
    Point("engine host-2: start", "after"),
    Point("images host-2: load", "during"),
    Point("stack: deploy", "after"),
)


@pytest.fixture(scope="module")
def before(images: None) -> Iterator[dict[str, str]]:
    """Tell how the machine was; whatever a test leaves is removed at the end."""
    down(INSTANCE, progress=print_nothing)
    yield snapshot()
    down(INSTANCE, progress=print_nothing)


@pytest.fixture(scope="module")
def cluster(
    before: dict[str, str], tmp_path_factory: pytest.TempPathFactory, full: bool
) -> SwarmWorld:
    """Give a cluster of two that came up in spite of all that struck it."""
    log = tmp_path_factory.mktemp("swarm") / "log"
    every = [Point(step.title, "after") for step in swarm(2).preview()]
    for point in every if full else STRUCK:
        if full and point.title not in {step.title for step in swarm(2).preview()}:
            continue  # done beside the one that was struck
        code, said = run_child("up", 2, log, point)
        assert code == (1 if point.fault == "during" else KILLED), (point, said)
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
    titles = [BUILD, *(step.title for step in swarm(2).preview())]
    points = [Point(*both) for both in itertools.product(titles, ("before", "after", "during"))]
    chosen = points if full else [Point("engine host-2: start", "after")]
    for point in chosen:
        code, said = run_child("up", 2, log, point)
        assert code == (1 if point.fault == "during" else KILLED), (point, said)
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


def test_somebody_elses_namespace_is_refused_before_anything_is_made_and_stays(
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


def test_an_engine_that_cannot_be_ended_keeps_what_it_is_found_by(
    before: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    made = swarm(2)
    hosts.make(INSTANCE, made.nodes, made.underlay)
    engines.start(made.nodes[0].place)

    def refuse(_node: object) -> bool:
        raise StepFailed("engine", "does not end")

    with monkeypatch.context() as patched:
        patched.setattr(engines, "stop", refuse)
        with pytest.raises(TwinstackError, match="does not end"):
            down(INSTANCE, progress=print_nothing)
    assert any(line.startswith("+ processes: dockerd") for line in left(before))
    assert "engine host-1" in down(INSTANCE, progress=print_nothing)
    assert left(before) == []


def test_a_second_command_is_told_who_is_changing_it(before: dict[str, str]):
    with locked(InstancePaths(INSTANCE), "swarm"):
        with pytest.raises(Locked, match="by pid"):
            swarm(2).up(timeout_s=10, progress=print_nothing)
        with pytest.raises(Locked, match="by pid"):
            down(INSTANCE, progress=print_nothing)


def test_the_stack_answers_on_every_node_and_every_replica_serves(cluster: SwarmWorld):
    gateway, edge = door(cluster, "api-gateway"), door(cluster, "nginx-lb")
    for node, port in itertools.product(cluster.nodes, (gateway, edge)):

        def lists_products(node: Node = node, port: int = port) -> bool:
            said = fetch(node, f"http://localhost:{port}/api/products")
            return bool(json.loads(said or "{}").get("products"))

        # Every task is healthy: a gateway asks the registry once a second who they are.
        eventually(lists_products, within_s=10)
        assert status_of(node, f"http://localhost:{edge}/health") == "200"
    wanted = {f"product-service-{number}" for number in (1, 2, 3)}
    served: set[str] = set()

    def all_serve() -> bool:
        url = f"http://localhost:{edge}/api/products"
        told = fetch(cluster.nodes[0], url, "-o", "/dev/null", "-D", "-")
        served.update(re.findall(r"(?im)^x-served-by: (\S+)", told))
        return wanted <= served

    eventually(all_serve, within_s=10)
    where = {row.where for row in cluster.status() if row.service == "product-service"}
    assert len(where) == 2


def test_a_door_of_the_host_alone_is_closed_to_other_hosts(cluster: SwarmWorld):
    first, second = cluster.nodes
    gateway, edge = door(cluster, "api-gateway"), door(cluster, "nginx-lb")
    assert status_of(first, f"http://{second.address}:{edge}/health") == "200"
    words = ("--connect-timeout", "1", "-o", "/dev/null", "-w", "%{http_code}")
    assert fetch(first, f"http://{second.address}:{gateway}/health", *words) == "000"


def test_a_second_up_has_nothing_to_do(cluster: SwarmWorld):
    assert cluster.preview() == ()


def test_a_lost_worker_is_made_up_for_and_joins_again(
    cluster: SwarmWorld, tell: Callable[[str], None]
):
    manager, worker = cluster.nodes
    edge = door(cluster, "nginx-lb")
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
    assert cluster.preview() != ()
    cluster.up(timeout_s=60, progress=print_nothing)
    assert all(member.ready for member in cluster.facts().members)
    assert status_of(worker, url) == "200"
    tell(f"the worker is back after {time.monotonic() - start:.1f} s")


def test_a_third_host_joins_its_door_leads_in_and_it_goes_again(cluster: SwarmWorld):
    wider = swarm(3)
    states = wider.up(timeout_s=120, progress=print_nothing)
    assert {state.state for state in states} == {"healthy"}
    edge = door(wider, "nginx-lb")
    assert status_of(wider.nodes[2], f"http://localhost:{edge}/api/products") == "200"
    assert {state.state for state in cluster.up(timeout_s=120, progress=print_nothing)} == {
        "healthy"
    }
    assert [one.name for one in cluster.facts().members] == ["host-1", "host-2"]
    assert not wider.nodes[2].namespace.exists()


def test_a_struck_down_is_taken_up_by_the_next_and_nothing_is_left(
    cluster: SwarmWorld,
    before: dict[str, str],
    full: bool,
    tmp_path_factory: pytest.TempPathFactory,
):
    log = tmp_path_factory.mktemp("swarm") / "log"
    struck = (
        Point("engine host-1: stop", "after"),
        Point("engine host-2: remove", "before"),
        Point(f"host ts-{INSTANCE}-host-1: remove", "after"),
    )
    for point in struck if full else struck[1:]:
        assert run_child("down", 3, log, point)[0] == KILLED, point
    assert run_child("down", 3, log) == (0, "")
    assert left(before) == []
    assert down(INSTANCE, progress=print_nothing) == ()
