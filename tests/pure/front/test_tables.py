"""What is printed is aligned, complete, and the same in words and in JSON."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from front import tables
from tests.support.core_cases import all_steps, planned, satisfied
from twinstack.namespaces.facts import Facts
from twinstack.namespaces.network_steps import network_steps
from twinstack.namespaces.steps import Change, diff
from twinstack.world import ServiceState

STEPS = all_steps(planned())
CELLS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)


def state(name: str = "nginx-lb", **changed: object) -> ServiceState:
    values: dict[str, object] = {
        "name": name,
        "service": name,
        "where": f"netns {name}",
        "address": "10.0.0.10",
        "port": 80,
        "state": "healthy",
        **changed,
    }
    return ServiceState(**values)  # type: ignore[arg-type]


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6))
def test_columns_begin_at_one_place_and_end_without_blanks(rows: list[tuple[str, str, str]]):
    lines = tables.columns(("a", "b", "c"), rows).split("\n")
    assert len(lines) == 1 + len(rows)
    assert all(line == line.rstrip() for line in lines)
    first = max(len(row[0]) for row in [("a",), *rows])
    for line, row in zip(lines[1:], rows, strict=True):
        assert line.startswith(row[0].rstrip())
        assert line[first + 2 :].startswith(row[1].rstrip() if row[1].strip() else "")


def test_a_table_of_nothing_is_its_header():
    assert tables.columns(("service", "state"), []) == "service  state"


def test_states_show_where_address_and_why():
    text = tables.states([state(), state("redis-cache", state="unhealthy", detail="no answer")])
    assert text.splitlines() == [
        "service      where              address       state",
        "nginx-lb     netns nginx-lb     10.0.0.10:80  healthy",
        "redis-cache  netns redis-cache  10.0.0.10:80  unhealthy (no answer)",
    ]


def test_restarts_have_a_column_once_there_are_any():
    assert "restarts" not in tables.states([state()])
    text = tables.states([state(), state("redis-cache", restarts=3)])
    assert text.splitlines()[0].endswith("restarts")
    assert text.splitlines()[2].endswith("3")


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_a_healthy_world_fits_80_columns(shape: str):
    found = [
        state(one.name, where=f"netns {one.name}", address=str(one.address), port=one.port)
        for one in planned(shape).replicas
    ]
    assert all(len(line) <= 80 for line in tables.states(found).splitlines())


def test_states_are_json_with_the_keys_of_the_state():
    document = json.loads(json.dumps(tables.states_json([state(pid=5)])))
    assert document[0]["pid"] == 5
    assert {
        "name",
        "service",
        "where",
        "address",
        "port",
        "state",
        "detail",
        "pid",
        "restarts",
    } == set(document[0])


def test_nothing_to_do_is_said_with_the_number_of_steps():
    assert tables.changes([], 42) == "Nothing to do: all 42 steps are as planned."
    assert tables.changes_json([], 42) == {"steps": 42, "changes": []}


def test_changes_name_each_step_with_its_reason_and_commands():
    found = diff(STEPS, Facts())
    lines = tables.changes(found, len(STEPS)).splitlines()
    assert lines[0] == f"{len(STEPS)} steps to do, {len(STEPS)} are planned:"
    assert "- bridge br-app: is absent" in lines
    assert "    ip address add 10.0.0.1/24 dev br-app" in lines
    assert len([line for line in lines if line.startswith("- ")]) == len(found)


def test_changes_are_the_same_in_json():
    found = diff(STEPS, Facts())
    document = json.loads(json.dumps(tables.changes_json(found, len(STEPS))))
    assert document["steps"] == len(STEPS)
    assert [(one["step"], one["reason"]) for one in document["changes"]] == [
        (one.step.name, one.reason) for one in found
    ]
    assert all(one["commands"] for one in document["changes"])


def test_differences_are_a_line_each():
    step = next(one for one in STEPS if one.name == "bridge br-app")
    assert tables.differences([Change(step, "is down")]) == "! bridge br-app is down"
    assert tables.differences(diff(STEPS, satisfied(STEPS))) == ""


def test_the_script_is_shell_with_every_command_in_order():
    steps = network_steps(planned("tiered"))
    text = tables.script(steps)
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in text
    commands = [command for step in steps for command in step.commands]
    assert [line for line in text.splitlines() if line in set(commands)] == commands
