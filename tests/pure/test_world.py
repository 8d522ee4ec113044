"""Every world answers the protocol of its kind: mypy checks the signatures, pytest the members."""

from __future__ import annotations

import pytest

from twinstack.compose.world import DockerWorld
from twinstack.errors import Missing
from twinstack.namespaces.world import NamespaceWorld
from twinstack.overlay.remote import Remote
from twinstack.overlay.world import Overlay
from twinstack.swarm.world import SwarmWorld
from twinstack.world import Endpoint, LocalWorld, World, require_root

WORLDS: list[type[World]] = [NamespaceWorld, DockerWorld, SwarmWorld, Overlay, Remote]
LOCAL_WORLDS: list[type[LocalWorld]] = [NamespaceWorld, DockerWorld]


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_can_be_previewed_brought_up_looked_at_and_taken_down(world: type[World]):
    assert {"preview", "up", "status", "down"} <= set(dir(world))


@pytest.mark.parametrize("world", LOCAL_WORLDS)
def test_a_local_world_has_every_member_of_the_protocol(world: type[LocalWorld]):
    members = {name for name in dir(LocalWorld) if not name.startswith("_")} - {"plan"}
    assert members <= set(dir(world))


def test_an_endpoint_is_a_url():
    assert Endpoint("10.0.0.20", 3000).url("/health") == "http://10.0.0.20:3000/health"


def test_without_root_a_task_is_refused_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Missing, match=r"net\.up: cannot be done: .*; run it with sudo"):
        require_root("net.up")
