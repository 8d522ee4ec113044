"""Whatever the engine's clients raise, the Docker world raises an error of ours."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import ConnectionError as ConnectionLost
from requests.exceptions import ReadTimeout

from twinstack.compose import apply, teardown, world
from twinstack.compose.steps import Step
from twinstack.compose.taking import removing
from twinstack.errors import Missing, StepFailed, TwinstackError
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.reconcile import UNWATCHED

REPOSITORY = Path(__file__).parents[3]
RAW = [DockerException("gone"), APIError("500"), ConnectionLost("reset"), ReadTimeout("slow")]


class Broken:
    """A client whose every question ends in the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, _name: str) -> Any:
        return Broken(self.error)

    def __call__(self, *_arguments: object, **_words: object) -> Any:
        raise self.error


def quiet(_line: str) -> None:
    return


DOING: dict[str, Callable[[world.DockerWorld], object]] = {
    "build": lambda one: one.build(progress=quiet),
    "up": lambda one: one.up(timeout_s=1, progress=quiet),
    "plan": lambda one: one.preview(),
    "down": lambda one: one.down(progress=quiet),
    "clean": lambda one: one.clean(progress=quiet),
    "status": lambda one: one.status(),
    "exec": lambda one: one.exec("nginx-lb", ["true"]),
    "logs": lambda one: one.logs("nginx-lb", lines=1),
    "processes": lambda one: one.processes(),
    "cpu_us": lambda one: one.cpu_us(),
    "software": lambda one: one.software(),
}


@pytest.fixture
def docker_world(monkeypatch: pytest.MonkeyPatch) -> world.DockerWorld:
    for module in (world, teardown):
        monkeypatch.setattr(module, "require_root", lambda *_words: None)
        monkeypatch.setattr(module, "locked", lambda *_words: nullcontext())
        monkeypatch.setattr(module, "remove_run", lambda *_words: None)
    monkeypatch.setattr(teardown, "revive", lambda *_words, **_more: None)
    monkeypatch.setattr(teardown, "remove_tree", lambda _path: False)
    return world.DockerWorld(resolve(load(REPOSITORY / "topology.yml"), "flat", "pure"))


@pytest.mark.parametrize("error", RAW, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("name", DOING)
def test_no_error_of_a_client_gets_out_raw(
    docker_world: world.DockerWorld, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
):
    for module in (apply, world, teardown):
        monkeypatch.setattr(module, "connect", lambda *_words: Broken(error))
    with pytest.raises(TwinstackError):
        DOING[name](docker_world)


def test_running_a_command_without_the_docker_client_says_what_is_missing(
    docker_world: world.DockerWorld, monkeypatch: pytest.MonkeyPatch
):
    there = SimpleNamespace(name="twinstack-pure-nginx-lb")
    client = SimpleNamespace(containers=SimpleNamespace(get=lambda _name: there))
    monkeypatch.setattr(world, "connect", lambda *_words: client)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(Missing, match=r'docker: is not installed: .*; run "make setup"'):
        docker_world.exec("nginx-lb", ["true"])


def test_a_removal_keeps_a_failure_in_our_words_and_forgives_what_is_gone():
    failures: list[Exception] = []
    a, b = Step("image", "a", "remove"), Step("image", "b", "remove")
    for step, error in (
        (a, NotFound("gone")),
        (a, APIError("409", explanation="is in use")),
        (b, ReadTimeout("slow")),
        (b, OSError(5, "Input/output error")),
    ):

        def fails(error: Exception = error) -> tuple[str, ...]:
            raise error

        assert removing(UNWATCHED, step, failures, fails) == ()
    assert removing(UNWATCHED, a, failures, lambda: ("image a",)) == ("image a",)
    assert [type(one) for one in failures] == [StepFailed, StepFailed, StepFailed]
    assert str(failures[0]).startswith("image a: remove: the engine fails: is in use")
    assert str(failures[2]) == "image b: remove: fails: [Errno 5] Input/output error"


def test_a_removal_that_fails_before_it_begins_keeps_no_other_from_going():
    class Fails:
        def before(self, step: str) -> None:
            pass

        def during(self, step: str) -> None:
            raise OSError(12, "Cannot allocate memory")

        after = before

    failures: list[Exception] = []
    step = Step("network", "n", "remove")
    assert removing(Fails(), step, failures, lambda: ("network n",)) == ()
    assert [str(one) for one in failures] == [
        "network n: remove: fails: [Errno 12] Cannot allocate memory"
    ]
