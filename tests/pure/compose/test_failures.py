"""Whatever the engine's clients raise, the Docker world raises an error of ours."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, DockerException
from requests import Response
from requests.exceptions import ConnectionError as ConnectionLost
from requests.exceptions import ReadTimeout

from tests.support.project import ROOT
from twinstack.compose import apply, engine, failures, teardown, world
from twinstack.errors import Missing, TwinstackError
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.world import LogSearch

RAW = [DockerException("gone"), APIError("500"), ConnectionLost("reset"), ReadTimeout("slow")]


def test_an_endpoint_that_the_engine_lost_names_what_mends_it():
    answer = Response()
    answer.status_code = 403
    refusal = APIError("403", answer, "network x has active endpoints")
    error = failures.translate(refusal, "network x: remove")
    assert "restart the engine" in str(error)


class Broken:
    """A client of which every call ends in the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, _name: str) -> Any:
        return Broken(self.error)

    def __call__(self, *_arguments: object, **_words: object) -> Any:
        raise self.error


def quiet(_line: str) -> None:
    return


DOING: dict[str, Callable[[world.DockerWorld], object]] = {
    "build": lambda docker: docker.build(progress=quiet),
    "up": lambda docker: docker.up(timeout_s=1, progress=quiet),
    "plan": lambda docker: docker.preview(),
    "down": lambda docker: docker.down(progress=quiet),
    "clean": lambda docker: docker.clean(progress=quiet),
    "status": lambda docker: docker.status(),
    "exec": lambda docker: docker.exec("nginx-lb", ["true"]),
    "log_names": lambda docker: docker.log_names(),
    "log": lambda docker: list(docker.log_reader("nginx-lb").read(LogSearch(lambda _: "shown"))),
    "processes": lambda docker: docker.processes(),
    "cpu_us": lambda docker: docker.cpu_us(),
    "software": lambda docker: docker.software(),
}


@pytest.fixture
def docker_world(monkeypatch: pytest.MonkeyPatch) -> world.DockerWorld:
    for module in (world, teardown):
        monkeypatch.setattr(module, "require_root", lambda *_words: None)
        monkeypatch.setattr(module, "locked", lambda *_words: nullcontext())
        monkeypatch.setattr(module, "remove_run", lambda *_words: None)
    monkeypatch.setattr(teardown, "revive", lambda *_words, **_more: None)
    monkeypatch.setattr(teardown, "remove_tree", lambda _path: False)
    return world.DockerWorld(resolve(load(ROOT / "topology.yml"), "flat", "pure"))


@pytest.mark.parametrize("error", RAW, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", DOING)
def test_no_error_of_a_client_gets_out_raw(
    docker_world: world.DockerWorld, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
):
    for module in (apply, engine, world, teardown):
        monkeypatch.setattr(module, "connect", lambda *_words: Broken(error))
    with pytest.raises(TwinstackError):
        DOING[name](docker_world)


def test_running_a_command_without_the_docker_client_says_what_is_missing(
    docker_world: world.DockerWorld, monkeypatch: pytest.MonkeyPatch
):
    labels = {"twinstack.instance": "pure"}
    container = SimpleNamespace(name="twinstack-pure-nginx-lb", labels=labels)
    client = SimpleNamespace(containers=SimpleNamespace(get=lambda _name: container))
    monkeypatch.setattr(engine, "connect", lambda *_words: client)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(Missing, match=r'docker: is not installed: .*; run "make setup"'):
        docker_world.exec("nginx-lb", ["true"])
