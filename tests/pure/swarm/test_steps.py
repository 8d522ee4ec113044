from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.project import ROOT
from twinstack.compose.render import image_name
from twinstack.model.placement import hosts_of
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import load
from twinstack.reconcile import Action, Change
from twinstack.swarm.exposure import exposure, host_only_ports
from twinstack.swarm.facts import MemberFacts, NodeFacts, SwarmFacts
from twinstack.swarm.nodes import SwarmNode, SwarmPaths
from twinstack.swarm.render import Contents, deployed_digest, rendered_files, services
from twinstack.swarm.steps import (
    SwarmStep,
    first_phase,
    host_only_rule,
    images_of,
    swarm_changes,
    swarm_steps,
)

TOPOLOGY = load(ROOT / "topology.yml")
PLAN = resolve(TOPOLOGY, "tiered", "t")
PATHS = SwarmPaths("t")
NODES = tuple(
    SwarmNode("t", host.name, manager=number == 0, address=host.address)
    for number, host in enumerate(hosts_of(TOPOLOGY.hosts, 2))
)
FILES = rendered_files(PLAN, exposure(False), Contents())
SERVICES = [replica.service for replica in services(PLAN)]
BUILT = {service: f"sha256:{service}" for service in SERVICES}
IMAGES = {image_name(PLAN, service): image for service, image in BUILT.items()}
DIGEST = deployed_digest(FILES[PATHS.stack_file])
DEPLOYED = dict.fromkeys(SERVICES, DIGEST)
RULES = tuple(f"-A {host_only_rule('t', port)}" for port in host_only_ports(PLAN))
READY = NodeFacts(True, True, "this cluster", "", IMAGES, RULES)
ALL = SwarmFacts({"host-1": READY, "host-2": READY}, deployed=DEPLOYED, files=FILES)


def steps(plan: Plan = PLAN) -> tuple[SwarmStep, ...]:
    return swarm_steps(plan, TOPOLOGY.hosts.underlay, NODES, "unix://source", BUILT, FILES)


def changes(facts: SwarmFacts) -> tuple[Change[Action], ...]:
    return swarm_changes(NODES, steps(), facts)


def names(changed: tuple[Change[Action], ...]) -> list[str]:
    return [change.step.name for change in changed]


def with_worker(facts: NodeFacts) -> SwarmFacts:
    return replace(ALL, nodes={"host-1": READY, "host-2": facts})


def test_an_absent_cluster_is_made_step_by_step_in_the_order_of_the_list():
    found = changes(SwarmFacts(nodes={}))
    assert names(found) == [
        "hosts",
        "engine host-1",
        "engine host-2",
        "images host-1",
        "images host-2",
        "rules host-1",
        "rules host-2",
        "cluster",
        "membership host-2",
        f"file {PATHS.stack_file}",
        f"file {PATHS.nginx_conf}",
        "stack",
    ]
    assert all(change.reason for change in found)


def test_a_phase_is_a_run_of_neighbours_of_one_kind():
    found = changes(SwarmFacts(nodes={}))
    assert names(first_phase(found)) == ["hosts"]
    assert names(first_phase(found[1:])) == ["engine host-1", "engine host-2"]


def test_steps_have_names_of_their_own_and_commands():
    every = steps()
    assert len({step.name for step in every}) == len(every)
    assert [step.name for step in every if not step.commands] == [f"file {path}" for path in FILES]


def test_a_cluster_as_planned_needs_no_step():
    assert changes(ALL) == ()


def test_a_node_that_lost_its_engine_has_it_started_before_anything_else():
    lost = changes(with_worker(NodeFacts(host=True, raw_rules=READY.raw_rules)))
    # Its images are known only once its engine answers.
    assert names(first_phase(lost)) == ["engine host-2"]


def test_a_worker_of_another_cluster_leaves_it_first():
    strayed = with_worker(replace(READY, member="another"))
    assert names(changes(strayed)) == ["other cluster host-2", "membership host-2"]


def test_a_worker_of_an_unknown_cluster_is_not_told_to_leave_it():
    unknown = with_worker(replace(READY, member="unknown"))
    assert names(changes(unknown)) == ["membership host-2"]


def test_a_manager_that_manages_nothing_leaves_and_starts_a_cluster():
    strayed = replace(ALL, nodes={"host-1": replace(READY, member="another"), "host-2": READY})
    assert names(changes(strayed))[:2] == ["other cluster host-1", "cluster"]


def member(identity: str, name: str, *, ready: bool) -> MemberFacts:
    return MemberFacts(identity, name, False, ready, "10.88.0.12")


def test_a_member_that_will_not_come_back_is_forgotten_and_no_other():
    members = (
        member("old", "host-2", ready=False),
        member("new", "host-2", ready=True),
        member("far", "host-7", ready=False),
    )
    facts = replace(with_worker(replace(READY, identity="new")), members=members)
    assert names(changes(facts)) == ["member old", "member far"]
    # While its engine does not answer, it may be that very member.
    silent = replace(facts, nodes={"host-1": READY, "host-2": NodeFacts(host=True)})
    assert "member old" not in names(changes(silent))


def test_a_surplus_host_goes_first():
    assert names(changes(replace(ALL, surplus=("host-3",)))) == ["node host-3"]


def test_a_node_gets_only_the_images_that_it_lacks_and_may_run():
    present = dict(IMAGES)
    tag = image_name(PLAN, "nginx-lb")
    present[tag] = "sha256:older"
    found = changes(with_worker(replace(READY, images=present)))
    assert [(change.step.name, change.reason) for change in found] == [
        ("images host-2", f"lacks {tag}")
    ]
    manager, worker = (images_of(PLAN, node, BUILT) for node in NODES)
    stores = {image_name(PLAN, store) for store in ("redis-cache", "postgres-db")}
    assert manager == IMAGES
    assert set(worker) == set(IMAGES) - stores


@pytest.mark.parametrize(
    ("deployed", "reason"),
    [
        ({}, "is absent"),
        (DEPLOYED | {"nginx-lb": "older"}, "is not as rendered"),
        (DEPLOYED | {"another": DIGEST}, "has other services"),
    ],
)
def test_a_stack_is_deployed_when_its_file_or_its_services_differ(
    deployed: dict[str, str], reason: str
):
    found = changes(replace(ALL, deployed=deployed))
    assert [(change.step.name, change.reason) for change in found] == [("stack", reason)]


def test_a_file_that_differs_is_written_again():
    found = changes(replace(ALL, files=FILES | {PATHS.nginx_conf: "edited"}))
    assert [change.reason for change in found] == ["is not as rendered"]


def test_a_host_only_port_open_to_others_is_closed_and_only_where_one_is_declared():
    opened = with_worker(replace(READY, raw_rules=()))
    assert names(changes(opened)) == ["rules host-2"]
    unpublished = steps(replace(PLAN, published_ports=()))
    assert not any(step.name.startswith("rules") for step in unpublished)
