from __future__ import annotations

from contextlib import contextmanager
from unittest.mock import Mock

import docker
import pytest
from docker.errors import APIError

from twinstack.reconcile import UNWATCHED
from twinstack.swarm import apply, nodes
from twinstack.swarm.nodes import SwarmNode


def refusal(status: int) -> APIError:
    return APIError("in use", response=Mock(status_code=status))


@pytest.fixture(name="api")
def _api(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Give the API of an engine with an unused config, network and secret."""
    monkeypatch.setattr(nodes, "LIB", tmp_path)
    file = tmp_path / "t/swarm/docker-stack.yml"
    file.parent.mkdir(parents=True)
    file.write_text("configs: {nginx: {name: used}}\nsecrets:\nnetworks: {frontend: {}}\n")
    client = docker.DockerClient(base_url="unix:///nowhere", version="1.41")
    client.api = Mock()
    client.api.configs.return_value = [
        {"ID": "1", "Spec": {"Name": "used"}},
        {"ID": "2", "Spec": {"Name": "old"}},
    ]
    client.api.networks.return_value = [
        {"Id": "3", "Name": "twinstack-t_frontend"},
        {"Id": "4", "Name": "twinstack-t_gone"},
    ]
    client.api.secrets.return_value = [{"ID": "5", "Spec": {"Name": "password"}}]

    @contextmanager
    def client_of(_node: SwarmNode):
        yield client

    monkeypatch.setattr(apply, "client_of", client_of)
    return client.api


def test_objects_that_the_stack_file_does_not_name_are_removed(api: Mock):
    progress: list[str] = []
    apply.remove_unused(SwarmNode("t", "host-1", manager=True), progress.append, UNWATCHED)
    assert progress == [
        f"{kind}: removing: no service uses it any more"
        for kind in ("config old", "network twinstack-t_gone", "secret password")
    ]
    api.remove_config.assert_called_once_with("2")
    api.remove_network.assert_called_once_with("4")
    api.remove_secret.assert_called_once_with("5")
    assert api.configs.call_args.kwargs == {"filters": {"label": "twinstack.instance=t"}}


def test_an_object_in_use_stays_and_a_failing_engine_is_an_error(api: Mock):
    api.remove_config.side_effect = refusal(400)
    manager = SwarmNode("t", "host-1", manager=True)
    apply.remove_unused(manager, lambda _line: None, UNWATCHED)
    api.remove_secret.assert_called_once_with("5")
    api.remove_network.side_effect = refusal(500)
    with pytest.raises(Exception, match="network twinstack-t_gone: remove: the engine fails"):
        apply.remove_unused(manager, lambda _line: None, UNWATCHED)
