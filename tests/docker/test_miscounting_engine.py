"""A network that the engine keeps, for it counts a container on it: one that is, one that was."""

from __future__ import annotations

import pytest
from docker import DockerClient
from docker.errors import APIError

from tests.support.own_engine import import_sleep, is_ours, print_nothing, start_sleep
from twinstack.compose import teardown
from twinstack.compose.apply import remove_network
from twinstack.compose.engine import ensure_engine
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.engine_record import read_record
from twinstack.compose.render import INSTANCE_LABEL
from twinstack.errors import StepFailed

pytestmark = pytest.mark.docker
INSTANCE = "counted"
NETWORK = f"twinstack-{INSTANCE}_app"


def pid_of(engine: EnginePaths) -> int:
    record = read_record(engine)
    assert record is not None
    return record.pid


def test_a_lost_count_is_mended_by_a_restart_and_a_strangers_container_is_not_touched(
    engine: EnginePaths, monkeypatch: pytest.MonkeyPatch
):
    client = ensure_engine(engine, print_nothing)
    import_sleep(client, "theirs:1")
    start_sleep(client, "theirs:1")
    (container,) = client.containers.list()
    network = client.networks.create(NETWORK, labels={INSTANCE_LABEL: INSTANCE})
    client.networks.get("none").disconnect(container)
    network.connect(container)
    first = pid_of(engine)

    refusals: list[APIError] = []

    def noting(client: DockerClient, instance: str, name: str) -> None:
        try:
            remove_network(client, instance, name)
        except APIError as error:
            refusals.append(error)
            raise

    monkeypatch.setattr(teardown, "remove_network", noting)
    with pytest.raises(StepFailed, match=rf"network {NETWORK}.*has active endpoints"):
        teardown.down(INSTANCE, progress=print_nothing, engine=engine)
    assert pid_of(engine) == first
    assert [left.status for left in client.containers.list()] == ["running"]

    container.update(restart_policy={"Name": "always"})
    container.stop()  # a start of the engine would start it

    def miscounting(client: DockerClient, instance: str, name: str) -> None:
        """Refuse, as the engine did, until it has been restarted."""
        if pid_of(engine) == first:
            raise refusals[0]
        remove_network(client, instance, name)

    monkeypatch.setattr(teardown, "remove_network", miscounting)
    with pytest.raises(StepFailed, match="has active endpoints"):
        teardown.down(INSTANCE, progress=print_nothing, engine=engine)
    assert (pid_of(engine), client.containers.list()) == (first, [])

    container.remove(force=True)
    progress: list[str] = []
    removed = teardown.down(INSTANCE, progress=progress.append, engine=engine)
    assert removed == (f"network {NETWORK}",)
    assert "engine: restarted: it counted what was gone on a network" in progress
    assert client.networks.list(names=[NETWORK]) == []
    assert is_ours(engine)
