"""A step notices each way in which the host differs from it, and no other step does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.support.core_cases import all_steps, edited_plan, planned, satisfied, with_fact
from twinstack.linux.links import LinkFacts
from twinstack.namespaces.facts import NamespaceFacts, NetFacts
from twinstack.namespaces.process_steps import (
    Cgroup,
    InstanceDirectory,
    InstanceFile,
    ReplicaProcess,
    Supervisor,
    directory_facts,
    file_facts,
)
from twinstack.namespaces.steps import (
    Bridge,
    BridgeFilter,
    Namespace,
    Rules,
    Sysctl,
    VethPair,
    network_steps,
    script,
)
from twinstack.policy.chains import chains
from twinstack.reconcile import diff

STEPS = all_steps(planned("tiered"))
FACTS = satisfied(STEPS)
Broken = tuple[str, NetFacts, set[str]]


_with = partial(with_fact, FACTS)


def _without(field: str, key: str) -> NetFacts:
    current = getattr(FACTS, field)
    changed: dict[str, Any] = {field: {other: current[other] for other in current if other != key}}
    return replace(FACTS, **changed)


def _links(name: str) -> Iterator[tuple[str, LinkFacts]]:
    link = FACTS.links[name]
    yield "down", replace(link, up=False)
    yield "mtu", replace(link, mtu=9000)
    yield "IPv6", replace(link, autoconfigures_ipv6=True)
    yield "mark", replace(link, alias=None)
    yield "group", replace(link, group=0)


def _inside(step: VethPair) -> Iterator[tuple[str, NamespaceFacts]]:
    namespace = FACTS.namespaces[step.namespace]
    link = namespace.links[step.link]

    def changed(**values: Any) -> NamespaceFacts:
        return replace(namespace, links={**namespace.links, step.link: replace(link, **values)})

    yield "inside absent", replace(namespace, links={"lo": namespace.links["lo"]})
    yield "inside down", changed(up=False)
    yield "inside mtu", changed(mtu=1400)
    yield "inside without address", changed(addresses=frozenset())
    yield "inside with another", changed(addresses=frozenset({step.address, "10.9.9.9/24"}))
    yield "route absent", replace(namespace, default_gateway=None)
    yield "route elsewhere", replace(namespace, default_gateway="10.9.9.1")


def _owning(**owned: Any) -> NetFacts:
    """Change what carries our mark."""
    return replace(FACTS, owned=replace(FACTS.owned, **owned))


def _broken() -> Iterator[Broken]:
    for step in STEPS:
        own = {step.name}
        match step:
            case Sysctl():
                yield "absent", _without("sysctls", step.key), own
                yield "off", _with("sysctls", step.key, "0"), own
                if step.held:
                    yield "not held", _owning(held=frozenset()), own
            case Bridge():
                yield "absent", _without("links", step.link), own
                for what, link in _links(step.link):
                    yield what, _with("links", step.link, link), own
                bare = replace(FACTS.links[step.link], addresses=frozenset())
                yield "without address", _with("links", step.link, bare), own
                more = replace(bare, addresses=frozenset({step.address, "10.9.9.1/24"}))
                yield "with another address", _with("links", step.link, more), own
                blind = replace(FACTS.links[step.link], filtered=not step.filtered)
                yield "past iptables", _with("links", step.link, blind), own
            case BridgeFilter():
                yield "not loaded", replace(FACTS, bridges_can_filter=False), own
            case Rules():
                table = FACTS.owned.rules[step.hook.table]
                for number, line in enumerate((step.hook.jump, *step.hook.lines)):
                    if not line:
                        continue  # a chain that only others of ours lead to
                    left = tuple(other for other in table if other != line)
                    less = _owning(rules={**FACTS.owned.rules, step.hook.table: left})
                    yield f"without {number}: {line[:40]}", less, own
                left = tuple(other for other in table if f":{step.hook.chain} " not in other)
                less = _owning(rules={**FACTS.owned.rules, step.hook.table: left})
                yield "chain absent", less, own
            case Namespace():
                name = step.namespace
                gone = _without("namespaces", name)
                yield "absent", gone, {other.name for other in STEPS if _rests_on(other, name)}
                namespace = FACTS.namespaces[name]
                down = {**namespace.links, "lo": replace(namespace.links["lo"], up=False)}
                yield (
                    "loopback down",
                    _with("namespaces", name, replace(namespace, links=down)),
                    own,
                )
                theirs = replace(namespace, mark="twinstack:other")
                yield "another instance's", _with("namespaces", name, theirs), own
                for key, _ in step.sysctls:
                    switches = {**namespace.sysctls, key: "9"}
                    changed = replace(namespace, sysctls=switches)
                    yield f"switch {key}", _with("namespaces", name, changed), own
            case VethPair():
                yield "absent", _without("links", step.host_end), own
                for what, link in _links(step.host_end):
                    yield what, _with("links", step.host_end, link), own
                outside = FACTS.links[step.host_end]
                for master in (None, "docker0"):
                    changed_link = replace(outside, master=master)
                    yield f"on {master}", _with("links", step.host_end, changed_link), own
                turned = replace(outside, hairpin=not outside.hairpin)
                yield "hairpin", _with("links", step.host_end, turned), own
                inside = FACTS.namespaces[step.namespace].links[step.link]
                other_pair = replace(outside, peer=inside.index + 1)
                yield "of another pair", _with("links", step.host_end, other_pair), own
                for what, namespace in _inside(step):
                    yield what, _with("namespaces", step.namespace, namespace), own
            case Cgroup():
                yield "absent", _without("cgroups", step.replica), own
                for key, _ in step.limit_values:
                    values = {**dict(step.limit_values), key: "1"}
                    yield f"{key} is 1", _with("cgroups", step.replica, values), own
            case InstanceDirectory():
                yield "absent", _without("files", step.path), own
                strange = directory_facts(step.mode, step.user + 1)
                yield "of another user", _with("files", step.path, strange), own
            case InstanceFile():
                yield "absent", _without("files", step.path), own
                yield "changed", _with("files", step.path, file_facts("cafe", step.mode)), own
                opened = file_facts(step.digest, 0o777)
                yield "open to all", _with("files", step.path, opened), own
            case Supervisor():
                yield "dead", _owning(supervisor=False), own
                fewer = _owning(programs=step.programs - {"nginx-lb"})
                yield "of an older file", fewer, own
            case ReplicaProcess():
                there_now = FACTS.processes[step.replica]
                yield "absent", _without("processes", step.replica), own
                for what, process in (
                    ("dead", replace(there_now, pid=None, state="FATAL")),
                    ("of an older script", replace(there_now, launch="cafe")),
                    ("started before its script", replace(there_now, launch="older")),
                    ("in another namespace", replace(there_now, namespace_inode=1)),
                ):
                    if what == "in another namespace" and step.namespace is None:
                        continue  # the host's own is where every process starts
                    yield what, _with("processes", step.replica, process), own


def _rests_on(step: object, namespace: str) -> bool:
    return (isinstance(step, (Namespace, VethPair)) and step.namespace == namespace) or (
        isinstance(step, ReplicaProcess) and step.replica == namespace
    )


BROKEN = list(_broken())


def test_a_host_that_is_as_planned_has_nothing_to_do():
    assert diff(STEPS, FACTS) == ()


def test_an_empty_host_has_everything_to_do_in_order():
    changes = diff(STEPS, NetFacts())
    assert [change.step for change in changes] == list(STEPS)
    assert all(change.reason for change in changes)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(facts, expected, id=f"{sorted(expected)[0]}: {what}")
        for what, facts, expected in BROKEN
    ],
)
def test_one_difference_brings_back_only_its_own_step(facts: NetFacts, expected: set[str]):
    changes = diff(STEPS, facts)
    assert {change.step.name for change in changes} == expected
    assert all(change.reason and "\n" not in change.reason for change in changes)


def test_every_step_was_broken_at_least_once():
    assert {step.name for step in STEPS} == set().union(*(expected for _, _, expected in BROKEN))


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ("twinstack:other", "belongs to instance other"),
        ("uplink", "is marked uplink"),
        (None, "lacks our mark"),
    ],
)
def test_a_reason_names_the_owner_before_anything_else(mark: str | None, reason: str) -> None:
    bridge = replace(FACTS.links["br-frontend"], alias=mark, up=False)
    namespace = replace(FACTS.namespaces["nginx-lb"], mark=mark, sysctls={})
    for facts in (
        _with("links", "br-frontend", bridge),
        _with("namespaces", "nginx-lb", namespace),
    ):
        assert diff(STEPS, facts)[0].reason == reason


def test_a_missing_namespace_brings_back_its_link_and_process_too():
    changes = diff(STEPS, _without("namespaces", "redis-cache"))
    assert [change.step.name for change in changes] == [
        "namespace redis-cache",
        "veth ve-redis-cache",
        "process redis-cache",
    ]
    assert changes[-1].reason == "runs in a namespace that is gone"


def test_names_of_steps_are_unique():
    for plan in (planned("flat"), planned("tiered"), planned("flat", "other", False)):
        names = [step.name for step in all_steps(plan)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_a_step_comes_after_what_it_rests_on(shape: str):
    made: set[str] = set()
    for step in all_steps(planned(shape)):
        if isinstance(step, VethPair):
            assert {f"bridge {step.bridge}", f"namespace {step.namespace}"} <= made
        if isinstance(step, Sysctl) and "route_localnet" in step.key:
            assert f"bridge {step.key.split('.')[3]}" in made
        if isinstance(step, ReplicaProcess):
            home = {f"namespace {step.namespace}"} if step.namespace else set()
            rests_on = {"supervisor", f"cgroup {step.replica}", f"file {step.script}"}
            assert rests_on | home <= made
        made.add(step.name)


@pytest.mark.parametrize(("shape", "bridges"), [("flat", 1), ("tiered", 3)])
def test_network_steps_are_those_of_the_shape(shape: str, bridges: int):
    plan = planned(shape)
    steps, replicas = network_steps(plan), len(plan.replicas)
    count = {
        kind: sum(isinstance(step, kind) for step in steps)
        for kind in (Bridge, Namespace, VethPair, Rules)
    }
    assert count == {
        Bridge: bridges,
        Namespace: replicas,
        VethPair: replicas,
        Rules: 4 + len(chains(plan, "net")),
    }
    bare = network_steps(planned(shape, policy=False))
    assert sum(isinstance(step, Rules) for step in bare) == 4 + 1
    assert not any(isinstance(step, BridgeFilter) for step in bare)
    assert network_steps(plan) == steps


def test_an_added_replica_changes_no_step_of_the_others():
    before = set(network_steps(planned("flat")))
    plan = edited_plan(lambda d: d["services"]["order-service"].update(replicas=2))
    fresh = [step.name for step in network_steps(plan) if step not in before]
    chains = [
        f"TO-{name}"
        for name in (
            "product-service",
            "order-service",
            "service-registry",
            "redis-cache",
            "postgres-db",
        )
    ]
    chains.remove("TO-order-service")  # who may ask it is the same for one and for two
    assert fresh == [
        *(f"rules filter TS-main-{chain}" for chain in (*chains, "FROM")),
        "namespace order-service-2",
        "veth ve-order-2",
    ]


def test_commands_are_plain_lines_that_name_what_they_create():
    for step in STEPS:
        assert step.commands
        assert all("\n" not in command and command.strip() for command in step.commands)
    (bridge, *_) = (step for step in STEPS if isinstance(step, Bridge))
    fixed = "address 02:54:ac:14:00:01"  # the lowest of its ports' would change with them
    assert bridge.commands[0].startswith(f"ip link add name br-frontend {fixed} mtu 1500 group ")
    pair = next(step for step in STEPS if isinstance(step, VethPair))
    assert pair.commands[-1] == "ip -n nginx-lb route add default via 172.20.0.1 proto static"


def test_only_the_published_replica_has_hairpin_mode():
    turning = [step.namespace for step in STEPS if isinstance(step, VethPair) and step.hairpin]
    assert turning == ["nginx-lb"]


def test_links_carry_the_mark_of_the_instance():
    for step in network_steps(planned("flat", "other")):
        if isinstance(step, (Bridge, VethPair)):
            assert step.mark == "twinstack:other"
            assert any("alias twinstack:other" in command for command in step.commands)


def test_many_namespaces_need_a_larger_neighbour_table_and_more_is_as_good():
    few = [step.name for step in STEPS if isinstance(step, Sysctl)]
    assert not any("neigh" in name for name in few)

    def widened(declared: dict[str, Any]) -> None:
        declared["services"]["product-service"]["replicas"] = 200
        app = declared["shapes"]["flat"]["segments"]["app"]
        app.update(subnet="10.0.0.0/22", pool="10.0.1.0-10.0.2.240", docker_subnet="172.30.0.0/22")
        del declared["shapes"]["tiered"]

    many = edited_plan(widened)
    wanted = {step.key: step for step in network_steps(many) if isinstance(step, Sysctl)}
    step = wanted["net.ipv4.neigh.default.gc_thresh3"]
    assert step.held
    assert int(step.value) == 8 * len(many.replicas)
    key = step.key
    assert step.difference(NetFacts(sysctls={key: "1024"})) == "is 1024"
    assert step.difference(NetFacts(sysctls={key: "99999"})) is None
    assert step.difference(NetFacts()) is None  # a host in a namespace has no such switch


def test_the_script_is_shell_with_every_command_in_order():
    steps = network_steps(planned("tiered"))
    text = script(steps)
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in text
    commands = [command for step in steps for command in step.commands]
    assert [line for line in text.splitlines() if line in set(commands)] == commands
