"""`docker.up` and `docker.down` struck at every step: `down` clears it, and `up` converges.

Each step of a list is struck in three ways: its whole process group is killed with SIGKILL just
before it, just after it, and a call of its own fails. Where compose takes the step, it waits at the
step proxy (`tests/support/step_proxy.py`), and is killed with it. The lists are those that
the pure functions decide beforehand; the watch must see the very same steps.

The states that `up` starts from, so that every kind of step is in some list: nothing (but images),
containers of another shape, a base of another content, an engine that has died. Root trees and
wheels are there all the time, and only overlooked once, so that their steps are taken: what they
make is whole or absent by a rename, which is theirs to test.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.docker_steps import (
    ENGINE,
    INSTANCE,
    Point,
    client_of,
    connect_or_none,
    difference,
    first_start,
    only_images,
    run_child,
    snapshot,
    up,
    world,
)
from tests.support.own_engine import import_sleep, kill_engine, print_nothing
from twinstack.compose.image_steps import PREPARING
from twinstack.compose.observe import observe_owned
from twinstack.compose.render import base_name
from twinstack.compose.teardown import down, removals
from twinstack.software.apt import host_release
from twinstack.state.paths import InstancePaths

pytestmark = pytest.mark.docker
FAULTS = ("before", "after", "during")
SHAPE = "tiered"
KILLED = -signal.SIGKILL
SEED = 3
#: After so many points a list says where it is.
_TOLD = 10


def another_shape() -> None:
    """Leave the flat shape, its containers created and one started."""
    only_images()
    point = Point(first_start("flat"), "after")
    assert run_child("up", "flat", Path(os.devnull), point)[0] == KILLED


def another_content() -> None:
    """Let nginx' base be of something else, as after an upgrade of the host's packages."""
    only_images()
    client, name = client_of(), base_name("nginx")
    earlier = [str(image.id) for image in client.images.list(name) if "at" in image.labels]
    import_sleep(client, name, "twinstack.kind=base", f"at={time.time_ns()}")
    client.images.get(name).tag(*base_name("nginx", host_release().suite).split(":"))
    for image in earlier:  # made here and never used, not what `up` replaces
        client.images.remove(image)


def dead_engine() -> None:
    """Kill the engine: the next command finds none."""
    only_images()
    kill_engine(ENGINE)


@dataclass(frozen=True)
class Start:
    """A state that `up` starts from, and the kinds of steps that are struck from there.

    `lacking` is what the first look of each command does not find.
    """

    name: str
    make: Callable[[], None]
    kinds: tuple[str, ...]
    lacking: tuple[str, ...] = ()

    def steps(self) -> tuple[str, ...]:
        """List what `up` will do now, of these kinds."""
        prepared = tuple(kind for kind in self.kinds if kind in _PREPARING)
        if len(prepared) == len(self.kinds):
            return prepared
        kinds = set(self.kinds) - _PREPARING
        return (*prepared, *(step for step in planned() if kind_of(step) in kinds))


def planned() -> tuple[str, ...]:
    """Name what `up` will do now."""
    return tuple(change.step.name for change in world(SHAPE).preview().changes)


def kind_of(step: str) -> str:
    """Give a step's kind of object and its verb."""
    kind = "root trees|build stage|run files|[a-z]+"
    return re.sub(rf"^({kind})\b.*(: [a-z]+)$", r"\1\2", step)


#: After them the rest is decided again; they differ only for a command that overlooks something.
_PREPARING = {step.NAME for step in PREPARING}
STARTS = (
    Start("another shape", another_shape, ("container: remove", "network: remove")),
    Start("a dead engine", dead_engine, ("engine: start",)),
    Start(
        "nothing but images",
        only_images,
        (
            "secrets: write",
            "file: write",
            "policy: write",
            "network: create",
            "volume: create",
            "container: create",
            "container: attach",
            "container: start",
        ),
    ),
    Start(
        "another base",
        another_content,
        ("root trees: make", "wheelhouse: fetch", "base: make", "image: build", "image: remove"),
        ("find_roots", "find_wheelhouse"),
    ),
)


def strike(verb: str, point: Point, log: Path, lacking: tuple[str, ...] = ()) -> None:
    """Run a command, strike it, and see that it was struck."""
    log.unlink(missing_ok=True)
    code, printed = run_child(verb, SHAPE, log, point, lacking)
    assert code == (1 if point.fault == "during" else KILLED), (point, printed)
    assert point.fault != "during" or f"made to fail: {point.step}" in printed, printed
    assert point.step in log.read_text().splitlines(), point


def see_that_down_clears(base: dict[str, object], point: Point, log: Path) -> None:
    """Take the world down twice, from a process without a plan, and look for what is left."""
    assert run_child("down", SHAPE, log) == (0, ""), point
    assert down(INSTANCE, progress=print_nothing, engine=ENGINE) == (), point
    now = snapshot()
    left = difference(base, now)
    # Data stay: images, those half replaced too, and the volumes.
    volumes = set(now["volumes"]) - set(base["volumes"])  # type: ignore[call-overload]
    keepers = ("redis-cache", "postgres-db", "service-registry")
    assert volumes <= {f"twinstack-{INSTANCE}-{name}-data" for name in keepers}, point
    assert left.keys() <= {"images", "volumes"}, (point, left)


def see_that_up_converges(images: set[str]) -> None:
    """Bring the world up; nothing is left to do then, and no image that was half replaced."""
    up(world(SHAPE))
    assert planned() == ()
    assert names_of_images() == images
    unnamed = client_of().api.images(filters={"dangling": True})
    assert {(image["Labels"] or {}).get("twinstack.kind") for image in unnamed} <= {"build"}


def names_of_images() -> set[str]:
    return {tag for image in client_of().api.images() for tag in image["RepoTags"] or ()}


@pytest.fixture(scope="module")
def base(images: None, full: bool) -> tuple[dict[str, object], set[str]]:
    """Give how the host is when the world is down, and the names of all images."""
    if full:  # as it is after one that was up; a sample has the stricter: after none
        up(world(SHAPE))
        only_images()
    return snapshot(), names_of_images()


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.name)
def test_up_struck_at_a_step_is_cleared_by_down_and_converges(
    base: tuple[dict[str, object], set[str]],
    start: Start,
    full: bool,
    tell: Callable[[str], None],
    tmp_path: Path,
):
    before, images = base
    log = tmp_path / "log"
    start.make()
    count = len(start.steps())
    struck = 0
    if full:
        for number, fault in itertools.product(range(count), FAULTS):
            start.make()
            point = Point(start.steps()[number], fault)
            strike("up", point, log, start.lacking)
            see_that_down_clears(before, point, log)
            see_that_up_converges(images)
            struck += 1
            if struck % _TOLD == 0:
                tell(f"docker.up from {start.name}: {struck} of {3 * count} points so far")
        assert struck == count * len(FAULTS)
    else:  # one of each kind, and each from where the one before was struck
        chance = random.Random(f"{SEED} {start.name}")
        for kind in (kind for kind in start.kinds if kind != "image: remove"):
            steps = of_kind(start, kind)
            if not steps:  # compose had gone past these, beside what was struck last
                start.make()
                steps = of_kind(start, kind)
            point = Point(chance.choice(steps), chance.choice(FAULTS))
            strike("up", point, log, start.lacking)
            struck += 1
        if start is not STARTS[-1]:  # from there the next test goes on
            see_that_down_clears(before, point, log)
    tell(
        f"docker.up from {start.name}: points injected: {struck} of {3 * count} ({count} steps × 3)"
    )


def of_kind(start: Start, kind: str) -> list[str]:
    return [step for step in start.steps() if kind_of(step) == kind]


def test_what_is_done_is_what_was_decided_step_by_step(
    base: tuple[dict[str, object], set[str]], full: bool, tmp_path: Path
):
    """In a sample it goes on from where `up` was struck last, over what was not struck there."""
    states = ((another_shape, "up"), (lambda: None, "down"), (another_content, "up"))
    for make, verb in states if full else ((lambda: None, "up"),):
        make()
        decided = planned() if verb == "up" else owned_objects()
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        assert run_child(verb, SHAPE, log) == (0, "")
        assert sorted(log.read_text().splitlines()) == sorted(decided)
    see_that_up_converges(base[1])


def test_down_struck_at_a_step_is_taken_up_by_the_next(
    base: tuple[dict[str, object], set[str]],
    full: bool,
    tell: Callable[[str], None],
    tmp_path: Path,
):
    before, images = base
    log = tmp_path / "log"
    up(world(SHAPE))
    steps = owned_objects()
    struck = 0
    if full:
        for step, fault in itertools.product(steps, FAULTS):
            up(world(SHAPE))
            strike("down", Point(step, fault), log)
            see_that_down_clears(before, Point(step, fault), log)
            struck += 1
            if struck % _TOLD == 0:
                tell(f"docker.down: {struck} of {3 * len(steps)} points so far")
        assert struck == len(steps) * len(FAULTS)
    else:
        chance = random.Random(SEED)
        for kind in dict.fromkeys(kind_of(step) for step in steps):
            owned = [step for step in owned_objects() if kind_of(step) == kind]
            # Failing goes on past the failure, and leaves nothing to strike: but for the last kind.
            faults = FAULTS if kind == kind_of(steps[-1]) else FAULTS[:2]
            point = Point(chance.choice(owned), chance.choice(faults))
            strike("down", point, log)
            struck += 1
        see_that_down_clears(before, point, log)
    if full:
        see_that_up_converges(images)
    tell(f"docker.down: points injected: {struck} of {3 * len(steps)} ({len(steps)} steps × 3)")


def owned_objects(*, data: bool = False) -> tuple[str, ...]:
    """Name the steps of `down`, or of `clean`, now."""
    with connect_or_none() as client:
        owned = observe_owned(client, INSTANCE, ENGINE, data=data)
    # A command holds its lock while it looks; from here there is none.
    locked = {**owned, "run files": (str(InstancePaths(INSTANCE).run),)}
    return tuple(removal.name for removal in removals(locked))


@pytest.mark.long
def test_clean_killed_at_every_step_in_turn_ends_with_nothing(
    base: tuple[dict[str, object], set[str]],
    tell: Callable[[str], None],
    tmp_path: Path,
    docker_host: dict[str, object],
):
    up(world(SHAPE))
    steps = owned_objects(data=True)
    for step in steps:
        for fault in ("before", "after"):
            strike("clean", Point(step, fault), tmp_path / "log")
    assert run_child("clean", SHAPE, tmp_path / "log") == (0, "")
    assert difference(docker_host, snapshot()) == {}
    tell(f"docker.clean: killed before and after each of {len(steps)} steps, one after the other")
    world(SHAPE).build(progress=print_nothing)
