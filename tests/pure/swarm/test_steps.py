from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from tests.support.sandbox import REPOSITORY
from twinstack.model.placement import Host
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.swarm.exposure import exposure
from twinstack.swarm.facts import Facts, MemberFacts, NodeFacts, TaskFacts
from twinstack.swarm.nodes import node
from twinstack.swarm.status import rows
from twinstack.swarm.steps import PHASES, Step, Wanted, first_phase, placed, up_steps

NODES = tuple(
    node("t", Host(f"host-{number}", IPv4Address(f"10.88.0.{number}")), manager=number == 1)
    for number in (1, 2)
)
WANTED = Wanted(
    nodes=NODES,
    images={"host-1": ("db", "web"), "host-2": ("web",)},
    services=frozenset({"db", "web"}),
    digest="d1",
    closed=True,
)
THERE = NodeFacts(host=True, engine=True, member="this cluster")
ALL = Facts(
    nodes={"host-1": THERE, "host-2": THERE},
    deployed={"db": "d1", "web": "d1"},
    closed=frozenset({"host-1", "host-2"}),
    files=True,
)


def titles(steps: tuple[Step, ...]) -> list[str]:
    return [step.title for step in steps]


def test_where_nothing_is_all_is_done_phase_by_phase():
    steps = up_steps(WANTED, Facts(nodes={}))
    assert titles(steps) == [
        "hosts: make",
        "engine host-1: start",
        "engine host-2: start",
        "images host-1: load",
        "images host-2: load",
        "doors host-1: close",
        "doors host-2: close",
        "cluster: init",
        "node host-2: join",
        "files: write",
        "stack: deploy",
    ]
    assert len(set(titles(steps))) == len(steps)
    assert titles(first_phase(steps[1:])) == ["engine host-1: start", "engine host-2: start"]


def test_where_all_is_nothing_is_done():
    assert up_steps(WANTED, ALL) == ()


def test_a_node_that_lost_its_engine_has_it_started_and_nothing_else():
    lost = replace(ALL, nodes={"host-1": THERE, "host-2": replace(THERE, engine=False)})
    assert "engine host-2: start" in titles(up_steps(WANTED, lost))
    # What it lacks is told by the engine itself, once it answers.
    assert titles(first_phase(up_steps(WANTED, lost))) == ["engine host-2: start"]


def test_a_worker_of_another_cluster_leaves_it_first():
    strayed = replace(ALL, nodes={"host-1": THERE, "host-2": replace(THERE, member="another")})
    assert titles(up_steps(WANTED, strayed)) == ["node host-2: leave", "node host-2: join"]


def test_a_manager_that_manages_nothing_starts_anew():
    strayed = replace(ALL, nodes={"host-1": replace(THERE, member="another"), "host-2": THERE})
    assert titles(up_steps(WANTED, strayed))[:2] == ["cluster: leave", "cluster: init"]


def test_a_member_that_is_lost_for_good_is_forgotten_and_no_other():
    def member(identity: str, name: str, ready: bool) -> MemberFacts:
        return MemberFacts(identity, name, False, ready, "10.88.0.12")

    here = replace(THERE, identity="new")
    told = (
        member("old", "host-2", False),
        member("new", "host-2", True),
        member("far", "host-7", False),
    )
    facts = replace(ALL, nodes={"host-1": THERE, "host-2": here}, members=told)
    assert titles(up_steps(WANTED, facts)) == ["member old: forget", "member far: forget"]
    # Its engine does not answer: it may be that very one.
    silent = replace(
        facts, nodes={"host-1": THERE, "host-2": NodeFacts(host=True)}, members=told[:1]
    )
    assert "member old: forget" not in titles(up_steps(WANTED, silent))


def test_a_host_too_many_goes_first():
    assert titles(up_steps(WANTED, replace(ALL, surplus=("host-3",)))) == ["node host-3: remove"]


def test_a_node_is_sent_only_what_it_lacks_and_may_run():
    lacking = replace(ALL, nodes={"host-1": THERE, "host-2": replace(THERE, lacks=("web",))})
    assert titles(up_steps(WANTED, lacking)) == ["images host-2: load"]
    images = {"db": True, "web": False}
    assert placed(NODES[0], images) == ("db", "web")
    assert placed(NODES[1], images) == ("web",)


def test_a_stack_is_deployed_again_when_the_file_or_the_list_of_services_differs():
    for deployed in ({"db": "d1", "web": "d0"}, {"db": "d1"}, {"db": "d1", "web": "d1", "x": "d1"}):
        assert titles(up_steps(WANTED, replace(ALL, deployed=deployed))) == ["stack: deploy"]


def test_an_open_door_is_closed_and_only_where_one_is_declared():
    opened = replace(ALL, closed=frozenset({"host-1"}))
    assert titles(up_steps(WANTED, opened)) == ["doors host-2: close"]
    assert up_steps(replace(WANTED, closed=False), opened) == ()


def test_every_step_has_its_phase():
    strayed = replace(
        ALL, nodes={"host-2": NodeFacts(member="another")}, surplus=("host-9",), files=False
    )
    for step in (*up_steps(WANTED, strayed), *up_steps(WANTED, Facts(nodes={}))):
        assert (step.kind, step.act) in PHASES
        assert step.reason


PLAN = resolve(load(REPOSITORY / "topology.yml"), "tiered", "t")
BACKEND = PLAN.segment("backend").docker_subnet


def task(
    service: str, slot: int, where: str, state: str, wanted: str = "running", current: bool = True
) -> TaskFacts:
    addresses = ("192.0.2.1", str(BACKEND.network_address + 7))
    return TaskFacts(service, slot, where, state, wanted, addresses, "", "", current)


def test_a_row_is_there_for_each_task_that_is_to_be():
    names = [row.name for row in rows(PLAN, exposure(False), ["host-1", "host-2"], ())]
    assert names[:4] == [
        "nginx-lb-host-1",
        "nginx-lb-host-2",
        "api-gateway-host-1",
        "api-gateway-host-2",
    ]
    assert "product-service-3" in names
    assert len(names) == 4 + 3 + 4
    assert {row.state for row in rows(PLAN, exposure(False), ["host-1"], ())} == {"absent"}


def test_a_tasks_address_is_that_on_its_own_tier():
    found = rows(
        PLAN, exposure(False), ["host-1"], [task("product-service", 2, "host-2", "running")]
    )
    row = next(one for one in found if one.name == "product-service-2")
    assert (row.state, row.where, row.address) == (
        "healthy",
        "host-2",
        str(BACKEND.network_address + 7),
    )


def test_while_a_task_follows_another_the_one_that_runs_counts():
    both = [
        task("product-service", 1, "host-1", "ready", "ready"),
        task("product-service", 1, "host-2", "running"),
    ]
    row = next(
        one
        for one in rows(PLAN, exposure(False), ["host-1"], both)
        if one.name == "product-service-1"
    )
    assert (row.state, row.where) == ("healthy", "host-2")


def test_a_task_that_failed_is_stopped_and_one_being_prepared_is_starting():
    for state, said in (("failed", "stopped"), ("preparing", "starting"), ("running", "healthy")):
        found = rows(PLAN, exposure(False), ["host-1"], [task("order-service", 1, "host-1", state)])
        assert next(one for one in found if one.name == "order-service-1").state == said


def test_a_task_of_an_older_definition_is_not_what_is_waited_for():
    old = task("order-service", 1, "host-1", "running", current=False)
    for found, said in (([old], "starting"), ([old, replace(old, current=True)], "healthy")):
        row = next(
            one
            for one in rows(PLAN, exposure(False), ["host-1"], found)
            if one.name == "order-service-1"
        )
        assert row.state == said
