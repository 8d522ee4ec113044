"""A container made by hand is compared with its part of the compose file, key by key."""

from __future__ import annotations

import copy
import json
import shlex
from typing import Any

import pytest
import yaml

from tests.support.core_cases import planned
from twinstack.compose.render import compose_text
from twinstack.course.container_steps import (
    SETTINGS,
    CreatedContainer,
    NamedNamespace,
    StartedContainer,
    definition,
)

PLAN = planned()
STEP = CreatedContainer(PLAN, "order-service")
#: Keys that are no option of a container's: the engine's or Compose's own, marks, and names.
NOT_ASKED = {
    *("labels", "depends_on", "logging", "pull_policy", "stop_grace_period"),
    *("container_name", "image", "build"),
}


def inspected() -> dict[str, Any]:
    """Give what the engine shows of a container that is as defined."""
    of = definition(PLAN, "order-service")
    mounts = (bind.split(":") for bind in of["secrets"])
    return {
        "Config": {
            "Image": of["image"],
            "Hostname": of["hostname"],
            "Env": ["PATH=/bin", *(f"{key}={value}" for key, value in of["environment"].items())],
        },
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "NanoCpus": 10**9,
            "Memory": 192 * 1024**2,
            "MemorySwap": 192 * 1024**2,
            "PidsLimit": 64,
            "RestartPolicy": {"Name": "unless-stopped"},
            "Tmpfs": dict(each.split(":") for each in of["tmpfs"]),
            "ExtraHosts": [f"{name}:{to}" for name, to in of["extra_hosts"].items()],
        },
        "Mounts": [{"Source": source, "Destination": to, "RW": False} for source, to, _ in mounts],
        "NetworkSettings": {
            "Networks": {
                name: {"IPAMConfig": {"IPv4Address": address}}
                for name, address in of["networks"].items()
            }
        },
    }


def difference(*containers: dict[str, Any]) -> str | None:
    return STEP.difference({STEP.looks[0]: json.dumps(containers)})


def test_a_container_as_defined_is_done() -> None:
    assert difference(inspected()) is None


def test_an_option_that_is_set_to_true_is_the_same() -> None:
    container = inspected()
    container["HostConfig"]["SecurityOpt"] = ["no-new-privileges:true"]
    assert difference(container) is None


def test_every_key_of_the_compose_file_has_an_option_or_a_reason_for_none() -> None:
    services = yaml.safe_load(compose_text(PLAN, None))["services"]
    asked = {setting.key for setting in SETTINGS}
    assert services["order-service"].keys() == asked | (NOT_ASKED - {"build"})


@pytest.mark.parametrize(
    ("where", "value", "reason"),
    [
        ("HostConfig.Memory", 0, "mem_limit is none"),
        ("HostConfig.NanoCpus", 5 * 10**8, "cpus is 0.5"),
        ("HostConfig.PidsLimit", None, "pids_limit is none"),
        ("HostConfig.MemorySwap", -1, "memswap_limit is -1"),
        ("HostConfig.ReadonlyRootfs", False, "read_only is none"),
        ("HostConfig.CapDrop", None, "cap_drop lacks ALL"),
        ("HostConfig.SecurityOpt", None, "security_opt lacks no-new-privileges"),
        ("HostConfig.RestartPolicy", {"Name": "no"}, "restart is no"),
        ("HostConfig.Tmpfs", {"/run": "mode=0755,size=1m"}, "tmpfs lacks /tmp:mode=1777,size=64m"),
        ("HostConfig.ExtraHosts", [], "extra_hosts lacks api-gateway:172.30.0.20"),
        ("Config.Env", [], "environment lacks TWINSTACK_ADDRESS=172.30.0.40"),
        ("Config.Hostname", "4f1c", "hostname is 4f1c"),
        ("Config.Image", "debian", "is made from debian, not twinstack-main/order-service:latest"),
        ("Mounts", [], "secrets lacks /var/lib/twinstack/main/docker/secrets/order-service"),
        (
            "NetworkSettings.Networks",
            {"bridge": {"IPAMConfig": None}},
            "networks lacks twinstack-main_app 172.30.0.40",
        ),
    ],
)
def test_what_was_forgotten_is_named(where: str, value: object, reason: str) -> None:
    container = copy.deepcopy(inspected())
    *path, last = where.split(".")
    place = container
    for key in path:
        place = place[key]
    place[last] = value
    found = difference(container)
    assert found is not None
    assert found.startswith(reason)


def test_a_container_that_is_not_there_is_absent() -> None:
    assert difference() == "is absent"


def test_the_solution_asks_for_each_setting() -> None:
    (command,) = STEP.commands
    words = shlex.split(command)
    assert words[:4] == ["docker", "create", "--name", "twinstack-main-order-service"]
    assert words[-1] == "twinstack-main/order-service:latest"
    assert {"--read-only", "--cap-drop", "--memory", "--ip", "--volume"} <= {*words}


def test_a_name_for_another_namespace_is_noticed() -> None:
    step = NamedNamespace("dk-order", "twinstack-main-order-service")

    def judged(named: str, own: str) -> str | None:
        return step.difference(dict(zip(step.looks, (named, own), strict=True)))

    assert judged("4026\n", "4026\n") is None
    assert judged("", "4026\n") == "is absent"
    assert judged("4027\n", "") is not None
    assert judged("4027\n", "4026\n") == (
        "is network namespace 4027; twinstack-main-order-service is in 4026"
    )
    assert "'{{.State.Pid}}'" in step.commands[0]


def test_a_container_that_does_not_run_says_its_state() -> None:
    step = StartedContainer("c")
    (look,) = step.looks
    assert look == "docker inspect --format '{{.State.Status}}' c"
    states = [step.difference({look: state}) for state in ("running\n", "created\n", "")]
    assert states == [None, "is created", "is absent"]
