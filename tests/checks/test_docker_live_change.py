"""Restarting, scaling and releasing a service's containers under full load fails no request.

`--full`: both services, thirty rounds of each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.docker_steps import ENGINE, INSTANCE, UP_TIMEOUT_S, client_of, up
from tests.support.other_versions import BROKEN, marked, version
from tests.support.own_engine import print_nothing
from tests.support.project import ROOT
from tests.support.sampling import LIVE_RESTARTS, LIVE_SCALES
from tests.support.shop_load import shop_load
from twinstack.compose.observe import recorded
from twinstack.compose.render import Recorded, image_prefix, versions_directory
from twinstack.compose.world import DockerWorld
from twinstack.errors import TwinstackError
from twinstack.live_change.release import How, Opinion, Releasing
from twinstack.live_change.rolling import Rolling
from twinstack.model.plan import resolve
from twinstack.model.releases import Releases
from twinstack.model.scale import Scale
from twinstack.model.topology_file import load

pytestmark = [pytest.mark.docker, pytest.mark.timeout(0)]

TOPOLOGY = load(ROOT / "topology.yml")
Tell = Callable[[str], None]


def world(scale: Scale | None = None, releases: Releases | None = None) -> DockerWorld:
    now = recorded(INSTANCE)
    plan = resolve(
        TOPOLOGY,
        instance=INSTANCE,
        scale=now.scale if scale is None else scale,
        released=now.releases if releases is None else releases,
    )
    return DockerWorld(plan, ENGINE, ROOT)


@pytest.fixture(scope="module")
def flat(images: None) -> DockerWorld:
    made = world()
    up(made)
    return made


@pytest.fixture
def url(flat: DockerWorld) -> str:
    endpoint = flat.endpoint("nginx-lb")
    return f"http://{endpoint.address}"


def in_host(words: list[str]) -> list[str]:
    return [*ENGINE.prefix, *words]


ROLLING = Rolling(TOPOLOGY, world, UP_TIMEOUT_S, print_nothing)


def not_asked(*_: object) -> Opinion:
    raise AssertionError("no canary is judged here")


RELEASING = Releasing(ROLLING, ROOT, not_asked)


def versions(service: str) -> list[str]:
    return [state.version for state in world().status() if state.service == service]


def version_images() -> list[str]:
    """List the images of versions that are not this checkout's."""
    tags = (tag for image in client_of().api.images() for tag in image["RepoTags"] or ())
    return [tag for tag in tags if tag.startswith(image_prefix(INSTANCE)) and ":version-" in tag]


def pids(service: str) -> set[int | None]:
    return {state.pid for state in world().status() if state.service == service}


@pytest.mark.long  # CI's is in namespaces: one code changes both worlds, and a release restarts too
@pytest.mark.parametrize("service", LIVE_RESTARTS)
def test_restarting_a_service_fails_no_request(
    url: str, service: str, full: bool, tell: Tell
) -> None:
    rounds = 30 if full else 1
    with shop_load(url, in_host, tell, f"docker.restart {service} × {rounds}"):
        for _ in range(rounds):
            before = pids(service)
            ROLLING.restart(service)
            after = pids(service)
            assert (len(after), before & after) == (len(before), set())
    assert world().preview().changes == ()


@pytest.mark.long  # CI's is in namespaces; below, a scale in Docker without a load
@pytest.mark.parametrize(("service", "most"), LIVE_SCALES)
def test_scaling_a_service_up_and_down_fails_no_request(
    url: str, service: str, most: int, full: bool, tell: Tell
) -> None:
    rounds = 30 if full else 1
    least = len(pids(service))
    with shop_load(url, in_host, tell, f"docker.scale {service} {least} ↔ {most} × {rounds}"):
        for _ in range(rounds):
            before = pids(service)
            ROLLING.scale(service, most)
            assert len(pids(service)) == most
            ROLLING.scale(service, least)
            assert pids(service) == before
    assert world().preview().changes == ()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        pytest.param("product-service", "rolling", marks=pytest.mark.long),
        pytest.param("product-service", "blue-green", marks=pytest.mark.long),
        ("order-service", "rolling"),
    ],
)
def test_a_release_and_its_rollback_fail_no_request_and_leave_no_image(
    url: str, name: str, how: How, full: bool, tmp_path: Path, tell: Tell
) -> None:
    """A sample has no load while it rolls back: what is done then is what a release does."""
    rounds = 30 if full else 1
    other = version(tmp_path, name.replace("-", "_"), marked("other"))
    before = versions(name)

    def roll_back() -> None:
        RELEASING.roll_back(name)
        assert versions(name) == before

    with shop_load(url, in_host, tell, f"docker.release {name} --how {how} × {rounds}"):
        for _ in range(rounds):
            RELEASING.release(name, other, how)
            assert len(set(versions(name)) - {""}) == 1
            assert world().preview().changes == ()
            if full:
                roll_back()
    if not full:
        roll_back()
    assert (version_images(), recorded(INSTANCE)) == ([], Recorded())
    assert list(versions_directory(INSTANCE).iterdir()) == []
    assert world().preview().changes == ()


@pytest.mark.long  # CI's is in namespaces
def test_a_broken_version_is_taken_back(url: str, tmp_path: Path, tell: Tell) -> None:
    broken = version(tmp_path, "order_service", BROKEN)
    soon = Rolling(TOPOLOGY, world, 8.0, print_nothing)
    load = shop_load(url, in_host, tell, "docker.release of a broken version")
    with load, pytest.raises(TwinstackError):
        Releasing(soon, ROOT, not_asked).release("order-service", broken, "rolling")
    assert (versions("order-service"), version_images()) == ([""], [])
    assert world().preview().changes == ()


def test_a_scale_holds_for_plan_and_up_and_ends_with_down(flat: DockerWorld) -> None:
    ROLLING.scale("product-service", 1)
    assert (len(pids("product-service")), world().preview().changes) == (1, ())
    up(world())
    assert len(pids("product-service")) == 1
    world().down(progress=print_nothing)
    assert recorded(INSTANCE).scale == ()
    assert len(world().plan.replicas_of("product-service")) == 3
