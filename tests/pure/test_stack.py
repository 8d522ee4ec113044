"""The whole as the tasks see it: what the environment means, and cleaning past failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import ROOT
from twinstack.errors import SeveralFailed, StepFailed, TopologyError, TwinstackError
from twinstack.model.releases import ServiceRelease
from twinstack.software import teardown as software
from twinstack.stack import Stack, from_environment
from twinstack.state import paths as state
from twinstack.state.journal import Journal, write_journal
from twinstack.state.paths import InstancePaths


@pytest.fixture(name="own")
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Give a stack whose directories are all below the test's own."""
    monkeypatch.setattr(state, "RUN", tmp_path / "run")
    monkeypatch.setattr(state, "LIB", tmp_path / "lib")
    monkeypatch.setattr(software, "ROOTS", tmp_path / "lib/roots")
    monkeypatch.setattr(software, "SOFTWARE", tmp_path / "lib/software")
    for name in ("roots", "software"):
        (tmp_path / "lib" / name).mkdir(parents=True)
    repository = tmp_path / "repository"
    (repository / "wheelhouse").mkdir(parents=True)
    return Stack("t", ROOT / "topology.yml", repository)


def cleaners(
    monkeypatch: pytest.MonkeyPatch, net: Exception | None, docker: Exception | None
) -> list[str]:
    """Replace both worlds' cleaning; give the list in which they note that they were asked."""
    asked: list[str] = []

    def cleaner(name: str, error: Exception | None) -> Callable[..., tuple[str, ...]]:
        def clean(instance: str, *, progress: Any, keep_stores: bool) -> tuple[str, ...]:
            asked.append(f"{name} {instance}")
            if error is not None:
                raise error
            return (f"{name} thing",)

        return clean

    monkeypatch.setattr("twinstack.namespaces.world.clean", cleaner("net", net))
    monkeypatch.setattr("twinstack.compose.teardown.clean", cleaner("docker", docker))
    return asked


def quiet(line: str) -> None:
    """Take progress and say nothing."""


def test_the_environment_names_instance_and_topology(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TWINSTACK_INSTANCE", raising=False)
    monkeypatch.delenv("TWINSTACK_TOPOLOGY", raising=False)
    assert from_environment() == Stack("main", ROOT / "topology.yml")
    monkeypatch.setenv("TWINSTACK_INSTANCE", "lab")
    monkeypatch.setenv("TWINSTACK_TOPOLOGY", "/x/y.yml")
    assert from_environment() == Stack("lab", Path("/x/y.yml"))


def test_empty_words_in_the_environment_mean_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TWINSTACK_INSTANCE", "")
    monkeypatch.setenv("TWINSTACK_TOPOLOGY", "")
    assert from_environment() == Stack("main", ROOT / "topology.yml")


@pytest.mark.parametrize("name", ["A", "../x", "a b", "a" * 16])
def test_an_unusable_instance_is_refused_before_anything(
    monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv("TWINSTACK_INSTANCE", name)
    with pytest.raises(TwinstackError, match="TWINSTACK_INSTANCE"):
        from_environment()


def test_a_missing_topology_is_an_error_that_names_the_way_out(tmp_path: Path):
    with pytest.raises(TopologyError, match="TWINSTACK_TOPOLOGY"):
        Stack("t", tmp_path / "none.yml").plan()


def test_a_plan_is_flat_and_limited_unless_said_otherwise(own: Stack):
    assert (own.plan().shape, own.plan().limited, own.plan().instance) == ("flat", True, "t")
    plan = own.plan("tiered", limited=False)
    assert (plan.shape, plan.limited) == ("tiered", False)


def test_the_namespace_world_is_as_it_runs_unless_said_otherwise(own: Stack):
    assert (own.net().plan.shape, own.net().plan.limited) == ("flat", True)
    write_journal(InstancePaths("t"), Journal(shape="tiered", limited=False))
    assert (own.net().plan.shape, own.net().plan.limited) == ("tiered", False)
    assert (own.net("flat", limited=True).plan.shape) == "flat"
    assert own.net("flat", limited=True).plan.limited


def test_a_plan_alone_is_that_of_the_world(own: Stack):
    assert own.plan_of("net", policy=True) == own.net(policy=True).plan
    write_journal(
        InstancePaths("t"), Journal(shape="tiered", policy=False, scale=(("order-service", 2),))
    )
    assert own.plan_of("net", policy=True) == own.net(policy=True).plan
    assert own.plan_of("net", policy=True).shape == "tiered"
    assert own.plan_of("net", "flat", policy=True) == own.net("flat", policy=True).plan


def test_a_release_of_the_running_namespace_world_holds(own: Stack):
    released = (ServiceRelease("product-service", ("aaaaaaaaaaaa", "")),)
    write_journal(InstancePaths("t"), Journal(shape="flat", releases=released))
    versions = [each.version for each in own.net().plan.replicas_of("product-service")]
    assert versions == ["aaaaaaaaaaaa", "", ""]
    assert own.net(releases=()).plan.releases == ()


def test_cleaning_asks_both_worlds_and_names_what_went(own: Stack, monkeypatch: pytest.MonkeyPatch):
    asked = cleaners(monkeypatch, None, None)
    removed = own.clean(quiet)
    assert asked == ["net t", "docker t"]
    assert removed[:2] == ("net thing", "docker thing")
    assert len([name for name in removed if name.startswith("software ")]) == 3
    assert not state.LIB.exists()
    assert not (own.repository / "wheelhouse").exists()


def test_cleaning_twice_is_fine(own: Stack, monkeypatch: pytest.MonkeyPatch):
    cleaners(monkeypatch, None, None)
    own.clean(quiet)
    assert own.clean(quiet) == ("net thing", "docker thing")


def test_cleaning_goes_on_past_a_failure_and_keeps_what_is_shared(
    own: Stack, monkeypatch: pytest.MonkeyPatch
):
    asked = cleaners(monkeypatch, StepFailed("bridge", "stays"), None)
    with pytest.raises(StepFailed, match="bridge: stays"):
        own.clean(quiet)
    assert asked == ["net t", "docker t"]
    assert (state.LIB / "roots").is_dir()


def test_cleaning_tells_all_failures(own: Stack, monkeypatch: pytest.MonkeyPatch):
    cleaners(monkeypatch, StepFailed("bridge", "stays"), StepFailed("image", "stays"))
    with pytest.raises(SeveralFailed, match="clean: 2 steps failed"):
        own.clean(quiet)


def test_cleaning_goes_on_past_an_error_of_the_system(own: Stack, monkeypatch: pytest.MonkeyPatch):
    asked = cleaners(monkeypatch, PermissionError("busy"), None)
    with pytest.raises((TwinstackError, OSError)):
        own.clean(quiet)
    assert asked == ["net t", "docker t"]


@pytest.mark.parametrize("where", ["run", "lib"])
def test_software_stays_while_another_instance_is_there(
    own: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
):
    cleaners(monkeypatch, None, None)
    (tmp_path / where / "other").mkdir(parents=True)
    assert own.clean(quiet) == ("net thing", "docker thing")
    assert (state.LIB / "roots").is_dir()


def test_cleaning_needs_no_topology(own: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cleaners(monkeypatch, None, None)
    assert Stack("t", tmp_path / "none.yml", own.repository).clean(quiet)


def test_the_shape_of_docker_is_told_by_its_networks(own: Stack, monkeypatch: pytest.MonkeyPatch):
    closed: list[object] = []

    class Network:
        def __init__(self, name: str) -> None:
            self.name = name

    class Client:
        def __init__(self, names: tuple[str, ...]) -> None:
            self.networks = self
            self._names = names

        def close(self) -> None:
            closed.append(self)

        def list(self, filters: dict[str, str]) -> list[Network]:
            assert filters == {"label": "twinstack.instance=t"}
            return [Network(name) for name in self._names]

    tiered = tuple(segment.docker_network for segment in own.plan("tiered").segments)
    for names, shape in (
        (tiered, "tiered"),
        (("twinstack-t_app",), "flat"),
        (tiered[:2], None),
        ((), None),
    ):
        monkeypatch.setattr("twinstack.compose.shape.connect", lambda names=names: Client(names))
        assert own.docker_shape() == shape
    assert len(closed) == 4  # no connection to the engine is left open
    monkeypatch.setattr("twinstack.compose.shape.connect", lambda: None)
    assert own.docker_shape() is None
