"""Every difference of two worlds is named; one that is not expected is refused unless allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from bench.engine import gate
from bench.engine.gate import Gate
from tests.support.bench_fakes import FakeWorld, quiet
from twinstack.errors import TwinstackError
from twinstack.observe.fingerprint import read as fingerprint
from twinstack.observe.fingerprint.read import WHOLE, Fingerprint

REPLICA = {
    "command": "nginx: master process -c /etc/nginx/nginx.conf",
    "processes": "2",
    "libraries": "libc.so.6:a1 nginx:b2",
    "env.LANG": "C.UTF-8",
    "/etc/nginx/nginx.conf": "d",
    "rlimit.nofile": "20000",
    "seccomp.mode": "2",
    "seccomp.program": "378 instructions",
    "lsm": "none",
    "capabilities.bounding": "0",
    "no_new_privs": "1",
    "mount./": "ext4 ro nosuid",
    "mount./dev/shm": "tmpfs rw size=64m",
    "cgroup.cpu.shares": "1024",
    "cgroup.cpu.cfs_quota_us": "100000",
    "cgroup.cpuset.cpus": "0-1",
    "cgroup.memory.limit_in_bytes": "134217728",
    "sched.policy": "other",
    "sched.nice": "0",
    "oom_score_adj": "0",
    "timer_slack_ns": "50000",
    "thp": "1",
    "stdout": "file append",
    "sysctl.net.ipv4.tcp_congestion_control": "cubic",
    "conntrack": "off",
    "link.mtu": "1500",
    "link.qdisc": "noqueue",
    "link.offloads": "rx-checksum tx-tcp-segmentation",
    "port": "learning unicast_flood",
    "bridge": "nf_call_iptables",
}
WORLD = {
    "shape": "flat",
    "policy": "on",
    "policy.rate_limit": "off",
    "iptables.filter": "66 rules",
    "postgres.settings": "fsync=on work_mem=2048",
    "rows.products": "24",
    "rows.orders": "0",
    "redis.config": "maxmemory=67108864 save=",
    "software.nginx version": "1.22",
    "host.clocksource": "tsc",
    "host.kernel": "6.1",
    "answer.bytes": "3000",
    "answer.content": "abc",
}
NAMES = ("nginx-lb", "api-gateway")


def world(name: str = "net", **changes: str) -> Fingerprint:
    """Give a world; a change is of nginx-lb alone, or of the world as a whole."""
    values = {key: dict.fromkeys(NAMES, value) for key, value in REPLICA.items()}
    values |= {key: {WHOLE: value} for key, value in WORLD.items()}
    for key, value in changes.items():
        values[key] = {**values.get(key, {}), (WHOLE if key in WORLD else "nginx-lb"): value}
    return Fingerprint(name, values)


def judged(second: Fingerprint, *allow: str) -> Gate:
    return gate.judge(world(), second, "nginx-lb", "/", allow)


def test_a_world_is_like_itself() -> None:
    assert list(gate.differences(world(), world())) == []


DIFFERENT: Mapping[str, str] = {
    **dict.fromkeys((*REPLICA, *WORLD), "other"),
    "answer.bytes": "2000",
    "stdout": "file append sync",
    "sched.policy": "idle",
    "mount./": "tmpfs rw",
    "conntrack": "?",
    "bridge": "vlan_filtering",
}
STATED = {"iptables.filter", "rows.orders", "answer.content"}


@pytest.mark.parametrize("key", [key for key in DIFFERENT if key not in STATED])
def test_a_difference_in_any_key_is_refused_by_its_name(key: str) -> None:
    with pytest.raises(TwinstackError, match=rf"{re.escape(key)}.*--allow {re.escape(key)}"):
        judged(world("docker", **{key: DIFFERENT[key]}))


@pytest.mark.parametrize("key", [key for key in DIFFERENT if key not in STATED])
def test_a_difference_that_is_allowed_is_named_in_the_result(key: str) -> None:
    found = judged(world("docker", **{key: DIFFERENT[key]}), key)
    assert len(found.allowed) == 1
    assert found.allowed[0].startswith(key)
    assert found.listed()[0].startswith("Let through by --allow, although NOT ALIKE:\n- ")


def test_a_world_without_its_policy_is_refused() -> None:
    without = world("docker", policy="off", bridge="none")
    with pytest.raises(TwinstackError, match="policy: net on, docker off"):
        judged(without)
    with pytest.raises(TwinstackError, match="bridge of nginx-lb"):
        judged(without, "policy")


def test_a_near_cache_in_one_world_alone_is_refused() -> None:
    with pytest.raises(TwinstackError, match=r"env\.CACHE of nginx-lb: net absent, docker near"):
        judged(world("docker", **{"env.CACHE": "near"}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mount./": "overlay ro nosuid layers=3"}, "net ext4, docker overlay layers=3 (an image"),
        ({"stdout": "pipe"}, "stdout of nginx-lb: net file append, docker pipe (the engine"),
        ({"conntrack": "on"}, "conntrack of nginx-lb: net off, docker on (that NAT"),
        ({"answer.content": "xyz"}, "answer.content: net abc, docker xyz (stock"),
        ({"env.HOME": "#1"}, "env.HOME of nginx-lb: net absent, docker #1 (Docker adds"),
    ],
)
def test_an_expected_difference_is_stated_with_its_reason(
    changes: dict[str, str], expected: str
) -> None:
    found = judged(world("docker", **changes))
    assert any(expected in sentence for sentence in found.stated)
    assert found.allowed == ()


def test_a_reason_holds_for_the_expected_values_alone() -> None:
    with pytest.raises(TwinstackError, match="stdout of nginx-lb: net file append, docker socket"):
        judged(world("docker", stdout="socket"))
    with pytest.raises(TwinstackError, match="stdout of nginx-lb: before file append, after pipe"):
        gate.judge(world("before"), world("after", stdout="pipe"), "nginx-lb", "/")


def test_what_no_process_shows_is_stated_of_a_docker_world_alone() -> None:
    assert "health: net runs no probe" in "\n".join(judged(world("docker")).stated)
    assert judged(world("net")).stated == ()


def test_a_changed_stock_is_no_other_data() -> None:
    assert judged(world("docker", **{"answer.bytes": "3020"})).allowed == ()


def test_only_the_words_that_differ_are_shown() -> None:
    changed = world("docker", libraries="libc.so.6:a1 nginx:b2 libjemalloc.so.2:c3")
    with pytest.raises(TwinstackError, match=r"net nothing more, docker libjemalloc\.so"):
        judged(changed)


def test_what_differs_alike_is_said_once() -> None:
    keys = ("seccomp.mode", "seccomp.program")
    first, second = (
        Fingerprint(value, {key: dict.fromkeys(NAMES, value) for key in keys})
        for value in ("x", "none")
    )
    found = gate.sentences(gate.differences(first, second), ("a", "b"))
    assert found == ("seccomp.mode, seccomp.program of every replica: a x, b none",)


def test_a_part_of_keys_before_a_dot_is_allowed_as_a_whole() -> None:
    other = world("docker", **{"seccomp.mode": "0", "seccomp.program": "none"})
    assert len(judged(other, "seccomp").allowed) == 2
    with pytest.raises(TwinstackError, match=r"--allow secc: cannot be"):
        gate.check_allowed(["secc"], world(), other)
    gate.check_allowed(["seccomp", "policy", "mount./"], world(), other)


def test_the_lists_fit_eighty_columns() -> None:
    long = " ".join(f"tx-offload-number-{number}" for number in range(40))
    found = judged(world("docker", **{"link.offloads": long, "stdout": "pipe"}), "link")
    assert max(len(line) for part in found.listed() for line in part.splitlines()) <= 80


def test_what_changed_during_a_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Gate((world("net"), world("docker")), "nginx-lb", "/")
    both = [FakeWorld("net", 1), FakeWorld("docker", 2)]
    monkeypatch.setattr(fingerprint, "read", lambda world_, *_: world(world_.name))
    assert gate.unchanged(found, both) == ()
    monkeypatch.setattr(fingerprint, "read", lambda world_, *_: world(world_.name, policy="off"))
    assert gate.unchanged(found, both) == (
        "net CHANGED meanwhile: policy: before on, after off",
        "docker CHANGED meanwhile: policy: before on, after off",
    )


def test_a_world_that_died_during_a_run_is_named_and_the_result_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object) -> Fingerprint:
        raise TwinstackError("the net world", "is not up")

    monkeypatch.setattr(fingerprint, "read", missing)
    changed = gate.unchanged(Gate((world(),), "nginx-lb", "/"), [FakeWorld("net", 1)])
    assert changed == ("net cannot be read again: the net world: is not up",)


def test_unlike_worlds_are_read_and_refused_and_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    policies = {"net": "on", "docker": "off"}
    monkeypatch.setattr(
        fingerprint, "read", lambda world_, *_: world(world_.name, policy=policies[world_.name])
    )
    both = [FakeWorld("net", 1), FakeWorld("docker", 2)]
    with pytest.raises(TwinstackError, match="net and docker: are not alike: policy: net on"):
        gate.require(both, "nginx-lb", "/", (), quiet)
    lines: list[str] = []
    found = gate.require(both, "nginx-lb", "/", ["policy"], lines.append)
    assert found.allowed == ("policy: net on, docker off",)
    assert "not alike, but allowed: policy: net on, docker off" in lines
    assert gate.require(both[:1], "nginx-lb", "/").software == {"nginx version": "1.22"}


def test_digests_tell_worlds_apart_but_not_machines_or_stock() -> None:
    def digests(**changes: str) -> dict[str, str]:
        return Gate((world("net", **changes),), "nginx-lb", "/").digests["net"]

    passing = {"host.clocksource": "hpet", "rows.orders": "7"}
    assert digests(**passing) == digests()
    changed = digests(**{"seccomp.mode": "0"}).items() - digests().items()
    assert [key for key, _ in changed] == ["seccomp.mode"]
