"""The engine's JSON as facts."""

from __future__ import annotations

from typing import Any

from twinstack.compose.facts import ContainerFacts, NetworkFacts

CONTAINER: dict[str, Any] = {
    "Id": "0123",
    "Name": "/twinstack-main-nginx-lb",
    "Image": "sha256:1",
    "RestartCount": 2,
    "Config": {"Labels": {"twinstack.replica": "nginx-lb", "twinstack.digest": "ab"}},
    "State": {
        "Status": "running",
        "Pid": 42,
        "ExitCode": 0,
        "Error": "",
        "Health": {"Status": "unhealthy", "Log": [{"Output": "first"}, {"Output": "last"}]},
    },
    "HostConfig": {"Memory": 1024, "NanoCpus": 500_000_000, "PidsLimit": 64},
    "NetworkSettings": {
        "Networks": {
            "app": {
                "NetworkID": "77",
                "IPAddress": "172.30.0.9",
                "IPAMConfig": {"IPv4Address": "172.30.0.10"},
            }
        }
    },
}


def container(**parts: Any) -> ContainerFacts:
    return ContainerFacts.model_validate({**CONTAINER, **parts})


def test_a_container_is_read_as_the_engine_tells_it():
    facts = container()
    assert (facts.name, facts.replica, facts.digest) == (
        "twinstack-main-nginx-lb",
        "nginx-lb",
        "ab",
    )
    assert (facts.pid, facts.health, facts.probe_output) == (42, "unhealthy", "last")
    assert (facts.memory, facts.cpus, facts.pids, facts.restarts) == (1024, 500_000_000, 64, 2)
    endpoint = facts.endpoints["app"]
    assert (endpoint.network, endpoint.address) == ("77", "172.30.0.10")


def test_no_limit_is_zero_however_the_engine_says_it():
    for limit in (None, -1, 0):
        assert container(HostConfig={"Memory": 0, "NanoCpus": 0, "PidsLimit": limit}).pids == 0


def test_a_container_without_health_or_labels_of_ours_is_read_too():
    facts = container(
        State={"Status": "created", "Health": None},
        Config={"Labels": {"twinstack.replica": "nginx-lb"}},
        NetworkSettings={
            "Networks": {"app": {"NetworkID": None, "IPAMConfig": None, "IPAddress": ""}}
        },
    )
    assert (facts.pid, facts.health, facts.probe_output, facts.digest) == (0, "", "", None)
    assert facts.endpoints["app"].network == facts.endpoints["app"].address == ""


def test_a_network_is_read_with_and_without_its_options():
    full = NetworkFacts.model_validate(
        {
            "Id": "77",
            "Name": "app",
            "Internal": True,
            "IPAM": {"Config": [{"Subnet": "172.30.0.0/24", "Gateway": "172.30.0.1"}]},
            "Options": {
                "com.docker.network.bridge.name": "dk-app",
                "com.docker.network.driver.mtu": "1500",
            },
        }
    )
    assert (full.subnet, full.gateway) == ("172.30.0.0/24", "172.30.0.1")
    assert (full.bridge, full.mtu, full.internal) == ("dk-app", "1500", True)
    bare = {"Id": "78", "Name": "b", "IPAM": {"Config": None}, "Options": None}
    assert NetworkFacts.model_validate(bare) == NetworkFacts(identity="78", name="b")
