"""Differences of two worlds are named, and a ratio that would mislead is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.engine.comparability import WorldSetup, compare, refuse_misleading
from bench.engine.executed import Executed
from bench.engine.observed import Confinement
from twinstack.errors import TwinstackError
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import load

TOPOLOGY = load(Path(__file__).resolve().parents[4] / "topology.yml")
PLAN = resolve(TOPOLOGY)
HELD = Confinement(
    cpus=1.0,
    period_us=100_000,
    memory_bytes=1 << 27,
    swap_bytes=1 << 27,
    pids=64,
    open_files="20000",
    seccomp="none",
    no_new_privs=True,
    capabilities="0000000000000000",
    speculation="vulnerable",
    root="ext4",
    data="",
    stdout="file",
)
RUNS = Executed("nginx: master process -c /etc/nginx/nginx.conf", 2, {"/etc/nginx/nginx.conf": "d"})


def setup(world: WorldName = "net", plan: Plan = PLAN) -> WorldSetup:
    return WorldSetup(
        world=world,
        plan=plan,
        entry="nginx-lb's own address",
        states={replica.name: "healthy" for replica in plan.replicas},
        confinement={replica.name: HELD for replica in plan.replicas},
        executed={replica.name: RUNS for replica in plan.replicas},
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


def held(**changes: object) -> WorldSetup:
    confinement = {**setup().confinement}
    confinement["nginx-lb"] = replace(HELD, **changes)  # type: ignore[arg-type]
    return other(confinement=confinement)


def runs(**changes: object) -> WorldSetup:
    executed = {**setup().executed}
    executed["nginx-lb"] = replace(RUNS, **changes)  # type: ignore[arg-type]
    return other(executed=executed)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (setup("docker", resolve(TOPOLOGY, "tiered")), "shape: net flat, docker tiered"),
        (other(entry="127.0.0.1:8088"), "entry: net nginx-lb's own address, docker 127.0.0.1:8088"),
        (other(software={"nginx": "1.27", "services": "abc"}), "nginx: net 1.22, docker 1.27"),
        (other(software={"nginx": "1.22"}), "software services: net abc, docker absent"),
        (other(body_bytes=2000), "answer's size: net 3000 bytes, docker 2000 bytes"),
        (other(states={"nginx-lb": "healthy"}), "replicas: net api-gateway, "),
        (held(cpus=0.5), "CPU limit of nginx-lb: net 1 cores, docker 0.5 cores"),
        (held(cpus=None), "CPU limit of nginx-lb: net 1 cores, docker none"),
        (held(period_us=50_000), "CPU period of nginx-lb: net 100000 µs, docker 50000 µs"),
        (held(memory_bytes=None), "memory limit of nginx-lb: net 134217728 bytes, docker none"),
        (held(swap_bytes=None), "swap limit of nginx-lb: net 134217728 bytes, docker none"),
        (runs(processes=3), "processes of nginx-lb: net 2, docker 3"),
        (runs(command=f"{RUNS.command} -q"), "command of nginx-lb: net nothing more, docker -q"),
        (
            runs(command="nginx: -c master process /etc/nginx/nginx.conf"),
            (
                "command of nginx-lb: net nginx: master process "
                "-c /etc/nginx/nginx.conf, docker nginx:"
            ),
        ),
        (
            runs(configs={"/etc/nginx/nginx.conf": "e"}),
            "/etc/nginx/nginx.conf of nginx-lb: net d, docker e",
        ),
        (runs(configs={}), "/etc/nginx/nginx.conf of nginx-lb: net d, docker none"),
        (held(pids=32), "pids limit of nginx-lb: net 64 pids, docker 32 pids"),
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
        (held(seccomp="filter"), "seccomp of nginx-lb: net none, docker filter"),
        (
            held(open_files="1024 (hard 4096)"),
            "open files limit of nginx-lb: net 20000, docker 1024 (hard 4096)",
        ),
        (held(stdout="pipe"), "log output of nginx-lb: net file, docker pipe"),
        (held(root="overlay"), "root file system of nginx-lb: net ext4, docker overlay"),
        (other(body_digest="xyz"), "answer's content: net abc, docker xyz"),
    ],
)
def test_a_difference_in_kind_is_stated_and_not_refused(second: WorldSetup, expected: str) -> None:
    alike = compare(setup(), second)
    assert expected in alike.sentences("stated")
    refuse_misleading(alike)


def test_a_difference_of_every_replica_is_said_once() -> None:
    everyone = {name: replace(HELD, seccomp="filter") for name in setup().confinement}
    alike = compare(setup(), other(confinement=everyone))
    assert "seccomp of every replica: net none, docker filter" in alike.sentences("stated")


def test_where_the_kernel_counts_no_swap_nothing_is_said() -> None:
    without = {name: replace(HELD, swap_bytes=None) for name in setup().confinement}
    one, two = replace(setup(), confinement=without), other(confinement=without)
    assert not [said for said in compare(one, two).sentences("misleads") if "swap" in said]


def test_what_the_plans_say_of_commands_is_not_believed() -> None:
    nginx = next(replica for replica in PLAN.replicas if replica.name == "nginx-lb")
    changed = replace(nginx, launch=replace(nginx.launch, command=("/usr/sbin/nginx", "-x")))
    replicas = tuple(changed if replica is nginx else replica for replica in PLAN.replicas)
    plan = replace(PLAN, replicas=replicas)
    assert compare(setup(), setup("docker", plan)).sentences("misleads") == ()
