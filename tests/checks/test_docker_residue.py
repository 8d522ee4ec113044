"""Up and down again and again: the host is as it was, and no foreign object was touched.

Foreign containers, networks, volumes and images stand in the same engine all the while: some
look like ours but for the label, and one is inside a network of ours.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import NotFound

from tests.support.docker_steps import (
    ENGINE,
    INSTANCE,
    Point,
    client_of,
    difference,
    first_start,
    identities,
    run_child,
    snapshot,
    up,
    watched_compose,
    world,
)
from tests.support.own_engine import import_sleep, print_nothing
from twinstack.compose import apply
from twinstack.compose.observe import compose_file
from twinstack.compose.render import container_name
from twinstack.compose.steps import ContainerCreation, ContainerStart
from twinstack.compose.teardown import clean, down
from twinstack.errors import NotOurs, StepFailed

pytestmark = pytest.mark.docker
SLEEP = ["/bin/sleep", "36000"]
CYCLES, FEW = 20, 1
THEIR_IMAGES = ("theirs:1", "redis:7", "twinstacks/redis-cache:1")
PROJECT = f"twinstack-{INSTANCE}"
THEIR_NETWORKS = ("br-app", f"{PROJECT}_apps")
THEIR_VOLUMES = ("postgres-data", f"{PROJECT}-postgres-db-data-old")
THEIR_CONTAINERS = frozenset(
    {"product-service", "nginx-lb", f"{PROJECT}-redis-cache-2", "redis-server", "postgres"}
)


@pytest.fixture(scope="module")
def foreign(images: None) -> Iterator[Callable[[], dict[str, object]]]:
    """Put foreign objects into the engine, and give what looks at them."""
    ours = world().plan
    assert not {container_name(ours, replica) for replica in ours.replicas} & THEIR_CONTAINERS
    client = client_of()
    try:
        _put(client)
        before = look_at_foreign()
        assert before["containers"].keys() == THEIR_CONTAINERS  # type: ignore[attr-defined]
        yield look_at_foreign
        assert look_at_foreign() == before
    finally:  # else the next file finds them
        _take_away(client)


def _put(client: DockerClient) -> None:
    import_sleep(client, "theirs:1")
    import_sleep(client, "redis:7", "twinstack.kind=image")
    import_sleep(client, "twinstacks/redis-cache:1")
    run: Any = lambda name, **words: client.containers.run(  # noqa: E731
        "theirs:1", SLEEP, name=name, detach=True, stop_signal="SIGKILL", **words
    )
    compose = "com.docker.compose"
    client.networks.create("br-app")
    client.networks.create(f"{PROJECT}_apps", labels={f"{compose}.project": PROJECT})
    for volume in THEIR_VOLUMES:
        client.volumes.create(volume)
    run("product-service")
    run("nginx-lb", network="br-app")
    run(f"{PROJECT}-redis-cache-2", network=f"{PROJECT}_apps")
    run(
        "redis-server",
        network_mode="none",
        labels={f"{compose}.project": PROJECT, f"{compose}.service": "redis-cache"},
    )
    run(
        "postgres",
        volumes={THEIR_VOLUMES[0]: {"bind": "/data"}},
        labels={"twinstack.instance": "else"},
    )


def look_at_foreign() -> dict[str, object]:
    now = client_of()
    return {
        "containers": {
            name: each for name, each in identities(now).items() if name in THEIR_CONTAINERS
        },
        "networks": sorted(name["Id"] for name in now.api.networks(names=list(THEIR_NETWORKS))),
        "volumes": sorted(
            (volume["Name"], volume["CreatedAt"])
            for volume in now.api.volumes()["Volumes"]
            if volume["Name"] in THEIR_VOLUMES
        ),
        "images": [now.images.get(name).id for name in THEIR_IMAGES],
    }


def _take_away(client: DockerClient) -> None:
    """Remove the foreign objects that are left."""
    for container in client.containers.list(all=True):
        if container.name in THEIR_CONTAINERS:
            container.remove(force=True)
    for network in THEIR_NETWORKS:
        with suppress(NotFound):
            client.api.remove_network(network)
    for volume in THEIR_VOLUMES:
        with suppress(NotFound):
            client.api.remove_volume(volume)
    for name in THEIR_IMAGES:
        with suppress(NotFound):
            client.images.remove(name)


def test_cycles_of_up_and_down_leave_the_host_as_it_was(
    foreign: Callable[[], dict[str, object]], full: bool, tell: Callable[[str], None]
):
    theirs = foreign()
    up(world())
    down(INSTANCE, progress=print_nothing, engine=ENGINE)
    before = snapshot()  # with what outlives a `down`: images, the volume
    cycles = CYCLES if full else FEW
    for cycle in range(cycles):
        shape = ("tiered", "flat")[cycle % 2]  # the first one was flat
        up(world(shape))
        assert foreign() == theirs
        assert down(INSTANCE, progress=print_nothing, engine=ENGINE)
        assert difference(before, snapshot()) == {}, f"cycle {cycle}"
        assert foreign() == theirs
    tell(f"docker.up and docker.down: {cycles} cycles, nothing left, foreign objects untouched")


def test_ctrl_c_half_way_says_what_stays_and_up_goes_on_from_there(
    foreign: Callable[[], dict[str, object]], monkeypatch: pytest.MonkeyPatch
):
    down(INSTANCE, progress=print_nothing, engine=ENGINE)
    progress: list[str] = []

    class CtrlC:
        """Press Ctrl-C as the terminal does, once a container is being started."""

        pressed = False

        def before(self, step: str) -> None:
            return

        during = before

        def after(self, step: str) -> None:
            if step.endswith(": start") and not self.pressed:
                self.pressed = True
                subprocess.Popen(["sh", "-c", f"kill -INT {os.getpid()}"])

    docker = world()
    docker.watch = CtrlC()
    monkeypatch.setattr(apply, "ComposeProject", watched_compose(docker.watch))
    with pytest.raises(KeyboardInterrupt):
        docker.up(timeout_s=60, progress=progress.append)
    assert "what is done stays; invoke docker.up goes on from there" in progress[-1]
    before = {name: each[0] for name, each in identities(client_of()).items()}
    left = world().preview().changes
    # A container was started: so the policy had been there, its bridges' part too.
    assert left
    assert all(isinstance(change.step, (ContainerCreation, ContainerStart)) for change in left)
    up(world())
    after = {name: each[0] for name, each in identities(client_of()).items()}
    assert before.items() <= after.items()


def test_a_second_up_takes_no_step_and_every_container_stays(
    foreign: Callable[[], dict[str, object]],
):
    up(world())
    before = identities(client_of())
    assert world().preview().changes == ()
    up(world())
    assert identities(client_of()) == before


def test_down_needs_no_rendered_file_nor_one_that_is_sound(
    foreign: Callable[[], dict[str, object]], full: bool
):
    theirs = foreign()
    plan = world().plan
    damages: tuple[Callable[[Path], object], ...] = (
        lambda file: file.unlink(),
        lambda file: file.write_text("services: {a: ["),
    )
    for damage in damages if full else damages[1:]:
        up(world())
        damage(compose_file(INSTANCE))
        assert [change.step.name for change in world().preview().changes] == [
            "file docker-compose.yml: write"
        ]
        gone = down(INSTANCE, progress=print_nothing, engine=ENGINE)
        assert set(gone) == {
            *(f"container {container_name(plan, replica)}" for replica in plan.replicas),
            *(f"network {segment.docker_network}" for segment in plan.segments),
            "policy rules",
        }
        assert foreign() == theirs
    up(world())
    compose_file(INSTANCE).write_text("services: {}\n")
    before = identities(client_of())
    up(world())
    assert identities(client_of()) == before  # what runs is as planned: only the file was not
    assert world().preview().changes == ()


def test_a_foreign_container_inside_a_network_of_ours_stays_and_is_named(
    foreign: Callable[[], dict[str, object]],
):
    up(world())
    client = client_of()
    network = f"twinstack-{INSTANCE}_app"
    container = client.containers.run(
        "theirs:1", SLEEP, name="inside", detach=True, stop_signal="SIGKILL", network=network
    )
    try:
        with pytest.raises(StepFailed, match=rf"network {network}: remove: the engine refuses"):
            down(INSTANCE, progress=print_nothing, engine=ENGINE)
        container.reload()
        assert container.status == "running"
        assert down_says_again(network)
    finally:
        container.remove(force=True)
    assert down(INSTANCE, progress=print_nothing, engine=ENGINE) == (f"network {network}",)


def down_says_again(network: str) -> bool:
    with pytest.raises(StepFailed, match=network):
        down(INSTANCE, progress=print_nothing, engine=ENGINE)
    return True


def test_a_foreign_container_at_port_3000_stops_up_before_anything_is_changed(
    foreign: Callable[[], dict[str, object]],
):
    client = client_of()
    down(INSTANCE, progress=print_nothing, engine=ENGINE)
    published = world().plan.published_port("docker", "api-gateway")
    assert published is not None
    container = client.containers.run(
        "theirs:1",
        SLEEP,
        name="at-the-port",
        detach=True,
        stop_signal="SIGKILL",
        ports={"3000/tcp": ("127.0.0.1", published.port)},
    )
    try:
        before = snapshot()
        taken = f"port {published.port}: is taken: container at-the-port"
        with pytest.raises(NotOurs, match=taken):
            up(world())
        assert difference(before, snapshot()) == {}
    finally:
        container.remove(force=True)


def test_a_foreign_network_of_our_name_stops_up_and_outlives_down(
    foreign: Callable[[], dict[str, object]],
):
    client = client_of()
    network = f"twinstack-{INSTANCE}_app"
    down(INSTANCE, progress=print_nothing, engine=ENGINE)
    other = client.networks.create(network)
    try:
        with pytest.raises(NotOurs, match=rf"network {network}: is not ours"):
            up(world())
        assert down(INSTANCE, progress=print_nothing, engine=ENGINE) == ()
        other.reload()
    finally:
        other.remove()


@contextmanager
def spared_images() -> Iterator[None]:
    """Keep the images under foreign names meanwhile: the next file's take half a minute to build.

    What is built on the way to them goes: it has no name.
    """
    client = client_of()
    names = {tag: str(image.id) for image in client.images.list() for tag in image.tags}
    ours = {tag: image for tag, image in names.items() if tag not in THEIR_IMAGES}
    kept = {f"kept:{number}": tag for number, tag in enumerate(ours)}
    for name, tag in kept.items():
        client.images.get(ours[tag]).tag(*name.split(":"))
    try:
        yield
    finally:
        for name, tag in kept.items():
            client.images.get(name).tag(*tag.rsplit(":", 1))
            client.images.remove(name)


def test_a_kill_half_way_and_clean_touch_no_foreign_object(
    foreign: Callable[[], dict[str, object]], tmp_path: Any
):
    theirs = foreign()
    down(INSTANCE, progress=print_nothing, engine=ENGINE)
    code, _ = run_child("up", "flat", tmp_path / "log", Point(first_start("flat"), "after"))
    assert code < 0
    assert foreign() == theirs
    progress: list[str] = []
    with spared_images():
        removed = clean(INSTANCE, progress=progress.append, engine=ENGINE)
        left = {tag for image in client_of().images.list() for tag in image.tags}
    assert foreign() == theirs
    assert any(name.startswith("image twinstack-base-nginx") for name in removed)
    assert {tag for tag in left if not tag.startswith("kept:")} == set(THEIR_IMAGES)
    assert "left running: it still holds" in progress[-1]
