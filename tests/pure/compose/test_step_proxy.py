"""What Compose asks the engine for, by the names of its steps."""

from __future__ import annotations

import pytest

from tests.support.core_cases import edited_plan
from tests.support.step_proxy import step_name
from twinstack.compose import steps
from twinstack.compose.facts import DockerFacts
from twinstack.reconcile import diff


@pytest.mark.parametrize(
    ("method", "target", "body", "name"),
    [
        ("POST", "/v1.41/networks/create", {"Name": "n"}, "network n: create"),
        ("POST", "/v1.41/volumes/create", {"Name": "v"}, "volume v: create"),
        ("POST", "/v1.41/containers/create?name=c&platform=", {}, "container c: create"),
        ("POST", "/containers/0123/start", {}, "container c: start"),
        ("POST", "/v1.41/networks/4567/connect", {"Container": "0123"}, "container c to n: attach"),
        ("DELETE", "/v1.41/containers/0123", {}, "compose DELETE /containers/0123"),
    ],
)
def test_a_request_of_compose_has_the_name_of_its_step(
    method: str, target: str, body: dict[str, str], name: str
):
    assert step_name(method, target, body, {"0123": "c", "4567": "n"}) == name


def test_the_names_of_the_proxy_are_those_of_the_steps():
    facts = DockerFacts(engine=True)
    for change in diff(steps.steps(edited_plan(shape="tiered"), facts), facts):
        body: dict[str, str] = {}
        match change.step:
            case steps.DockerNetwork() as step:
                target, body = "/networks/create", {"Name": step.label}
            case steps.DataVolume() as step:
                target, body = "/volumes/create", {"Name": step.label}
            case steps.ContainerCreation() as step:
                target = f"/containers/create?name={step.label}"
            case steps.ContainerStart() as step:
                target = f"/containers/{step.label}/start"
            case steps.NetworkConnection() as step:
                target = f"/networks/{step.attachment.network}/connect"
                body = {"Container": step.container}
            case step:
                assert not isinstance(step, steps.COMPOSED)
                continue
        assert isinstance(change.step, steps.COMPOSED)
        assert step_name("POST", target, body, {}) == change.step.name
