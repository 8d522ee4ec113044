"""The chains of the Docker world's policy, and how they are brought about."""

from __future__ import annotations

from dataclasses import replace

from tests.support.core_cases import edited_plan
from tests.support.docker_facts import enforced
from tests.support.iptables_restore import restored
from tests.support.policy_cases import generated
from twinstack.compose import policy
from twinstack.model.plan import resolve
from twinstack.model.topology_file import parse


def test_a_jump_from_where_it_hung_before_docker_made_its_chain_is_moved():
    plan = edited_plan()
    early = enforced(plan, (":FORWARD ACCEPT [0:0]",))
    assert policy.difference(plan, early) is None
    later = (":DOCKER-USER - [0:0]", *early)
    assert "FORWARD" in "".join(policy.restore_texts(plan, later))
    assert [text for text in policy.restore_texts(plan, later) if "-D FORWARD" in text]


def test_from_any_set_of_flows_the_way_to_another_can_be_restored():
    """As iptables-restore does it: a rule that is deleted by its text must be there."""
    present: tuple[str, ...] = (":DOCKER-USER - [0:0]", "-A DOCKER-USER -j RETURN")
    for seed in range(30):
        plan = replace(resolve(parse(generated(seed)), "flat"), policy=seed % 7 != 3)
        for text in policy.restore_texts(plan, present):
            present = restored({"filter": present}, text)["filter"]
        assert policy.difference(plan, present) is None
    rest = restored({"filter": present}, policy.removal_text("main", present))["filter"]
    assert rest == (":DOCKER-USER - [0:0]", "-A DOCKER-USER -j RETURN")
