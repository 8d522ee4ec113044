"""A launch script's digest changes where its process must be restarted, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.core_cases import SOFTWARE, edited_plan, planned
from tests.support.launch_cases import changed, digests, edit, file_of, launched, scripts
from twinstack.model.plan import Plan
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.process_steps import InstanceFile

STEPS = launched()
SCRIPTS = scripts(STEPS)


def test_the_digest_in_the_environment_is_the_listedown():
    for name, digest in digests(STEPS).items():
        assert f"TWINSTACK_LAUNCH={digest}" in SCRIPTS[name].content.split()
        assert "@DIGEST@" not in SCRIPTS[name].content
        assert len(digest) == 12


def test_digests_stay_when_nothing_changes():
    assert digests(launched()) == digests(STEPS)
    assert launched() == STEPS


def more_memory(d: dict[str, Any]) -> None:
    d["services"]["order-service"]["limits"]["memory"] = "256M"


ONE = {"order-service"}
ALL = set(digests(STEPS))
MATTERS: dict[str, tuple[Plan, ProvidedSoftware, set[str]]] = {
    "port": (edit("order-service", port=5001), SOFTWARE, ONE),
    "threads": (edit("order-service", threads=9), SOFTWARE, ONE),
    "workers": (edit("order-service", workers=2), SOFTWARE, ONE),
    "user": (edit("order-service", user=31000), SOFTWARE, ONE),
    "module": (edit("order-service", module="services.other:app"), SOFTWARE, ONE),
    "cache": (
        edit("product-service", cache="near"),
        SOFTWARE,
        {"product-service", "product-service-2", "product-service-3"},
    ),
    "secrets": (edit("order-service", secrets=[]), SOFTWARE, ONE | {"redis-cache", "postgres-db"}),
    "the users of a store": (
        edit("order-service", secrets=["postgres_password"]),
        SOFTWARE,
        {"redis-cache"},
    ),
    "environment": (
        changed(
            planned(),
            "order-service",
            lambda replica: replace(replica, environment=(*replica.environment, ("A", "b"))),
        ),
        SOFTWARE,
        ONE,
    ),
    "configuration": (
        planned(),
        replace(SOFTWARE, configs={"nginx-lb": {"/etc/nginx/nginx.conf": "events {}"}}),
        {"nginx-lb"},
    ),
    "own address": (edit("order-service", addresses=["10.0.0.41"]), SOFTWARE, ONE),
    "software": (planned(), replace(SOFTWARE, digest="fresh"), ALL),
    "its packages": (
        planned(),
        replace(SOFTWARE, srv=Path("/software/new")),
        {n for n in ALL if planned().replica(n).role in {"python", "postgres"}},
    ),
    "a tree": (
        planned(),
        replace(SOFTWARE, trees={**SOFTWARE.trees, "redis": Path("/new")}),
        {"redis-cache"},
    ),
}


@pytest.mark.parametrize("what", MATTERS)
def test_the_digest_changes_where_a_change_concerns_a_process(what: str):
    plan, software, concerned = MATTERS[what]
    before, after = digests(STEPS), digests(launched(plan, software))
    assert {name for name in ALL if before[name] != after[name]} == concerned


def test_a_changed_hosts_file_reaches_processes_that_run():
    moved = launched(edit("postgres-db", addresses=["10.0.0.61"]))
    assert file_of(moved, "/conf/hosts") != file_of(STEPS, "/conf/hosts")
    # Written over in place, since a bind mount keeps a file that was replaced.
    written = [step for step in moved if isinstance(step, InstanceFile) and step.in_place]
    assert [Path(step.path).name for step in written] == ["hosts"]
    assert digests(moved)["product-service"] == digests(STEPS)["product-service"]
    gateway = launched(edit("api-gateway", addresses=["10.0.0.21"]))
    assert digests(gateway)["nginx-lb"] != digests(STEPS)["nginx-lb"]  # it looks up at its start


INDIFFERENT: dict[str, tuple[Plan, ProvidedSoftware]] = {
    "limits": (edited_plan(more_memory), SOFTWARE),
    "no limits": (planned(limited=False), SOFTWARE),
    "host port": (edited_plan(lambda d: d["host_ports"][0].update(port=8181)), SOFTWARE),
    "flows": (edited_plan(lambda d: d["flows"].pop()), SOFTWARE),
    "supervisor": (planned(), replace(SOFTWARE, supervisor=Path("/software/new"))),
}


@pytest.mark.parametrize("what", INDIFFERENT)
def test_the_digest_stays_when_a_process_need_not_be_restarted(what: str):
    assert digests(launched(*INDIFFERENT[what])) == digests(STEPS)
