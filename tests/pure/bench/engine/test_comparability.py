"""Differences of two worlds are named, and a ratio that would mislead is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.engine.comparability import WorldSetup, compare, refuse_misleading
from tests.support.project import ROOT
from twinstack.errors import TwinstackError
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import load

TOPOLOGY = load(ROOT / "topology.yml")
PLAN = resolve(TOPOLOGY)
VALUES = {
    "CPU limit": "1 cores",
    "CPU period": "100000 µs",
    "memory limit": "134217728 bytes",
    "swap limit": "134217728 bytes",
    "pids limit": "64 pids",
    "open files limit": "20000",
    "seccomp": "none",
    "log output": "file",
    "root file system": "ext4",
    "command": "nginx: master process -c /etc/nginx/nginx.conf",
    "processes": "2",
    "/etc/nginx/nginx.conf": "d",
}


def setup(world: WorldName = "net", plan: Plan = PLAN) -> WorldSetup:
    return WorldSetup(
        world=world,
        plan=plan,
        entry="nginx-lb's own address",
        replicas={replica.name: VALUES for replica in plan.replicas},
        software={"nginx": "1.22", "services": "abc"},
        body_digest="abc",
        body_bytes=3000,
    )


def test_a_world_is_like_itself() -> None:
    assert compare(setup(), setup()).differences == ()


def test_alike_worlds_are_not_refused_and_their_kinds_are_stated() -> None:
    alike = compare(setup("net"), setup("docker"))
    assert alike.sentences("misleads") == ()
    refuse_misleading(alike)
    said = "\n".join(alike.sentences("stated"))
    assert (
        "health: net no probe runs unless status is asked, docker the engine runs a probe" in said
    )
    assert "every 2 s" in said
    assert "tiers" not in said  # flat: a container has one network


def test_tiers_that_differ_in_kind_are_stated() -> None:
    plan = resolve(TOPOLOGY, "tiered")
    alike = compare(setup("net", plan), setup("docker", plan))
    assert "a container joins each network it must reach" in "\n".join(alike.sentences("stated"))


def other(**changes: object) -> WorldSetup:
    return replace(setup("docker"), **changes)  # type: ignore[arg-type]


def edge(what: str, value: str) -> WorldSetup:
    """Give a Docker world in which one value of nginx-lb differs."""
    return other(replicas={**setup().replicas, "nginx-lb": {**VALUES, what: value}})


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (setup("docker", resolve(TOPOLOGY, "tiered")), "shape: net flat, docker tiered"),
        (other(entry="127.0.0.1:8088"), "entry: net nginx-lb's own address, docker 127.0.0.1:8088"),
        (other(software={"nginx": "1.27", "services": "abc"}), "nginx: net 1.22, docker 1.27"),
        (other(software={"nginx": "1.22"}), "software services: net abc, docker absent"),
        (other(body_bytes=2000), "answer's size: net 3000 bytes, docker 2000 bytes"),
        (other(replicas={"nginx-lb": VALUES}), "replicas: net api-gateway, "),
        (edge("CPU limit", "0.5 cores"), "CPU limit of nginx-lb: net 1 cores, docker 0.5 cores"),
        (edge("CPU limit", "none"), "CPU limit of nginx-lb: net 1 cores, docker none"),
        (edge("CPU period", "50000 µs"), "CPU period of nginx-lb: net 100000 µs, docker 50000 µs"),
        (
            edge("memory limit", "none"),
            "memory limit of nginx-lb: net 134217728 bytes, docker none",
        ),
        (edge("swap limit", "none"), "swap limit of nginx-lb: net 134217728 bytes, docker none"),
        (edge("processes", "3"), "processes of nginx-lb: net 2, docker 3"),
        (
            edge("command", f"{VALUES['command']} -q"),
            "command of nginx-lb: net nothing more, docker -q",
        ),
        (
            edge("command", "nginx: -c master process /etc/nginx/nginx.conf"),
            (
                "command of nginx-lb: net nginx: master process "
                "-c /etc/nginx/nginx.conf, docker nginx:"
            ),
        ),
        (
            edge("/etc/nginx/nginx.conf", "e"),
            "/etc/nginx/nginx.conf of nginx-lb: net d, docker e",
        ),
        (
            edge("/etc/nginx/nginx.conf", "none"),
            "/etc/nginx/nginx.conf of nginx-lb: net d, docker none",
        ),
        (edge("pids limit", "32 pids"), "pids limit of nginx-lb: net 64 pids, docker 32 pids"),
    ],
)
def test_a_difference_that_misleads_is_named_and_refused(second: WorldSetup, expected: str) -> None:
    alike = compare(setup(), second)
    assert any(expected in sentence for sentence in alike.sentences("misleads"))
    with pytest.raises(TwinstackError, match="--force"):
        refuse_misleading(alike)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (edge("seccomp", "filter"), "seccomp of nginx-lb: net none, docker filter"),
        (
            edge("open files limit", "1024 (hard 4096)"),
            "open files limit of nginx-lb: net 20000, docker 1024 (hard 4096)",
        ),
        (edge("log output", "pipe"), "log output of nginx-lb: net file, docker pipe"),
        (
            edge("root file system", "overlay"),
            "root file system of nginx-lb: net ext4, docker overlay",
        ),
        (other(body_digest="xyz"), "answer's content: net abc, docker xyz"),
    ],
)
def test_a_difference_in_kind_is_stated_and_not_refused(second: WorldSetup, expected: str) -> None:
    alike = compare(setup(), second)
    assert expected in alike.sentences("stated")
    refuse_misleading(alike)


def test_a_difference_of_every_replica_is_said_once() -> None:
    everyone = {name: {**VALUES, "seccomp": "filter"} for name in setup().replicas}
    alike = compare(setup(), other(replicas=everyone))
    assert "seccomp of every replica: net none, docker filter" in alike.sentences("stated")


def test_what_the_plans_say_of_commands_is_not_believed() -> None:
    nginx = next(replica for replica in PLAN.replicas if replica.name == "nginx-lb")
    changed = replace(nginx, launch=replace(nginx.launch, command=("/usr/sbin/nginx", "-x")))
    replicas = tuple(changed if replica is nginx else replica for replica in PLAN.replicas)
    plan = replace(PLAN, replicas=replicas)
    assert compare(setup(), setup("docker", plan)).sentences("misleads") == ()
