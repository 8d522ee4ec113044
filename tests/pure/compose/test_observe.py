"""A replica's state, from its container."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from tests.support.core_cases import edited_plan
from tests.support.docker_facts import satisfied
from twinstack.compose import observe
from twinstack.compose.observe import state_of


@pytest.mark.parametrize(
    ("container", "state", "detail"),
    [
        (None, "absent", ""),
        ({"state": "created"}, "absent", "not started yet"),
        ({"state": "exited", "exit_code": 3}, "stopped", "exited with 3"),
        (
            {"state": "restarting", "exit_code": 1, "error": "no file"},
            "stopped",
            "exited with 1: no file",
        ),
        ({"state": "running"}, "starting", ""),
        ({"state": "running", "health": "starting"}, "starting", ""),
        ({"state": "running", "health": "healthy"}, "healthy", ""),
        ({"state": "paused", "health": "healthy"}, "healthy", ""),
        (
            {"state": "running", "health": "unhealthy", "probe_output": " 503 \n"},
            "unhealthy",
            "503",
        ),
        ({"state": "running", "health": "unhealthy"}, "unhealthy", "its health check fails"),
    ],
)
def test_a_state_follows_the_container_and_its_health(
    container: dict[str, Any] | None, state: str, detail: str
):
    plan = edited_plan()
    facts = satisfied(plan).containers[0]
    changed = None if container is None else facts.model_copy(update=container)
    found = state_of(plan, plan.replicas[0], changed)
    assert (found.state, found.detail) == (state, detail)
    assert (found.name, found.where) == (plan.replicas[0].name, facts.name)


def test_volumes_are_listed_by_name_whatever_the_engines_order(monkeypatch: pytest.MonkeyPatch):
    client = docker.DockerClient("unix:///nowhere", version="1.41")
    listed = {"Volumes": [{"Name": "redis"}, {"Name": "postgres"}]}
    monkeypatch.setattr(client.api, "volumes", lambda filters: listed)
    assert observe._volumes(client, "main") == ("postgres", "redis")
