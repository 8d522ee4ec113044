"""What is printed is aligned and complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from front import documents, tables
from tests.support.core_cases import all_steps, planned, satisfied
from twinstack.namespaces.facts import NetFacts
from twinstack.reconcile import Change, Preview, diff
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


def test_versions_have_a_column_once_one_was_released():
    assert "version" not in tables.states([state()])
    text = tables.states([state(), state("product-service", version="aaaaaaaaaaaa")])
    assert [line.split()[-1] for line in text.splitlines()] == [
        "version",
        "healthy",
        "aaaaaaaaaaaa",
    ]


def test_restarts_have_a_column_once_there_are_any():
    assert "restarts" not in tables.states([state()])
    text = tables.states([state(), state("redis-cache", restarts=3)])
    assert text.splitlines()[0].endswith("restarts")
    assert text.splitlines()[2].endswith("3")


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_a_healthy_world_fits_80_columns(shape: str):
    replicas = [
        state(node.name, where=f"netns {node.name}", address=str(node.address), port=node.port)
        for node in planned(shape).replicas
    ]
    assert all(len(line) <= 80 for line in tables.states(replicas).splitlines())


def pending(facts: NetFacts) -> Preview:
    return Preview(len(STEPS), diff(STEPS, facts))


def test_a_preview_of_nothing_says_how_many_steps_are_as_planned():
    assert tables.preview(Preview(42, ())) == "Nothing to do: all 42 steps are as planned."
    assert documents.pending(Preview(42, ())) == documents.PlannedChanges(42, (), ())


def test_a_preview_names_each_step_with_its_reason_and_commands():
    preview = pending(NetFacts())
    lines = tables.preview(preview).splitlines()
    assert lines[0] == f"{len(STEPS)} steps to do, {len(STEPS)} planned:"
    assert "- bridge br-app: is absent" in lines
    assert "    ip address add 10.0.0.1/24 dev br-app" in lines
    assert len([line for line in lines if line.startswith("- ")]) == len(preview.changes)


def test_a_preview_is_the_same_in_json():
    preview = pending(NetFacts())
    document = documents.pending(preview)
    assert document.steps == len(STEPS)
    assert [(change.step, change.reason) for change in document.changes] == [
        (change.step.name, change.reason) for change in preview.changes
    ]
    assert all(change.commands for change in document.changes)


def test_what_must_be_built_first_is_in_every_form():
    preview = Preview(3, (), ("images are to be built first",))
    assert tables.preview(preview).startswith("images are to be built first\n")
    assert tables.differences(preview) == "images are to be built first"
    assert documents.pending(preview).unbuilt == ("images are to be built first",)


def test_a_preview_says_why_up_would_refuse():
    preview = Preview(3, (), refused="port 8080: is busy; end it\nbridge br-app: is")
    assert tables.preview(preview).splitlines() == [
        "Nothing to do: all 3 steps are as planned.",
        "! up would refuse: port 8080: is busy; end it",
        "! up would refuse: bridge br-app: is",
    ]
    assert documents.planned(preview).refused == preview.refused


def test_differences_are_a_line_each():
    step = next(step for step in STEPS if step.name == "bridge br-app")
    preview = Preview(1, (Change(step, "is down"),))
    assert tables.differences(preview) == "! bridge br-app is down"
    assert tables.differences(pending(satisfied(STEPS))) == ""


def test_a_cell_that_is_a_state_is_coloured_and_no_word_of_a_sentence():
    replicas = [state(), state("api-gateway", state="unhealthy", detail="up and down")]
    shown = tables.coloured(tables.states(replicas) + "\nnothing is up here, no")
    assert "\x1b[32mhealthy\x1b[0m\n" in shown
    assert "  \x1b[31munhealthy\x1b[0m (up and down)\n" in shown
    assert shown.count("\x1b[0m") == 2
    assert tables.coloured("ok       disk  much").startswith("\x1b[32mok\x1b[0m  ")
