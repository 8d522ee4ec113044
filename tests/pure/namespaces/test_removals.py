"""What goes bears our mark and is not wanted: all of it, nothing else, in an order that works."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_cases import all_steps, edited_plan, link, planned, satisfied
from twinstack.namespaces.facts import OwnedObjects
from twinstack.namespaces.removals import (
    EndProgram,
    EndSupervisor,
    Removal,
    RemoveCgroup,
    RemoveFile,
    RemoveLinks,
    RemoveNamespace,
    RemoveRules,
    RemoveTable,
    UnmountPins,
    removals,
)
from twinstack.namespaces.steps import NetStep

GROUP = 77


def owned(steps: tuple[NetStep, ...]) -> OwnedObjects:
    return satisfied(steps).owned


def names(todo: tuple[Removal, ...]) -> list[str]:
    return [removal.name for removal in todo]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_declared_objects_stay(shape: str):
    steps = all_steps(planned(shape))
    assert removals(owned(steps), steps, group=GROUP) == ()


def test_nothing_is_removed_where_nothing_is_ours():
    assert removals(OwnedObjects(), group=GROUP) == ()


def test_all_goes_when_nothing_is_declared_processes_first():
    present = owned(all_steps(planned()))
    todo = removals(present, group=GROUP)
    assert todo[0] == EndSupervisor()
    kinds = [type(removal) for removal in todo]
    order = [EndSupervisor, RemoveCgroup, RemoveRules, RemoveLinks, RemoveNamespace]
    assert [kind for kind in dict.fromkeys(kinds) if kind in order] == order
    assert {removal.namespace for removal in todo if isinstance(removal, RemoveNamespace)} == set(
        present.namespaces
    )
    assert [removal.links for removal in todo if isinstance(removal, RemoveLinks)] == [
        present.links
    ]
    assert {removal.replica for removal in todo if isinstance(removal, RemoveCgroup)} == set(
        present.groups
    )


def test_an_undeclared_replica_goes_with_everything_of_its_own():
    present = owned(all_steps(planned()))
    fewer = edited_plan(lambda d: d["services"]["product-service"].update(replicas=2))
    todo = removals(present, all_steps(fewer), group=GROUP)
    gone = "product-service-3"
    assert EndProgram(gone) in todo
    assert RemoveCgroup(gone, present.instance) in todo
    assert RemoveNamespace(gone) in todo
    assert [removal for removal in todo if isinstance(removal, RemoveFile)]
    (links,) = (removal for removal in todo if isinstance(removal, RemoveLinks))
    assert len(links.links) == 1
    assert not links.together
    assert all(gone in removal.name or removal is links for removal in todo), names(todo)


def test_a_change_of_shape_removes_only_bridges():
    todo = removals(owned(all_steps(planned("flat"))), all_steps(planned("tiered")), group=GROUP)
    assert names(todo) == ["bridge br-app"]


def test_links_go_together_only_when_the_group_is_all_ours():
    present = owned(all_steps(planned()))
    (together,) = (
        removal for removal in removals(present, group=GROUP) if isinstance(removal, RemoveLinks)
    )
    assert together.together
    assert together.commands == (f"ip link delete group {GROUP}",)
    (apart,) = (
        removal
        for removal in removals(replace(present, group_is_shared=True), group=GROUP)
        if isinstance(removal, RemoveLinks)
    )
    assert not apart.together


def test_the_network_alone_removes_everything_that_runs():
    steps = all_steps(planned())
    bare = tuple(
        step
        for step in steps
        if step.name.split()[0] in {"sysctl", "bridge", "rules", "namespace", "veth"}
    )
    todo = removals(owned(steps), bare, group=GROUP)
    assert todo[0] == EndSupervisor()
    assert {type(removal) for removal in todo} == {EndSupervisor, RemoveCgroup, RemoveFile}


def test_a_mount_of_the_pins_goes_after_the_last_namespace():
    present = replace(owned(all_steps(planned())), mounted_pins=True, tables=("raw",))
    todo = removals(present, group=GROUP)
    last = max(place for place, removal in enumerate(todo) if isinstance(removal, RemoveNamespace))
    assert todo.index(UnmountPins()) > last
    assert RemoveTable("raw") in todo
    kept = removals(present, all_steps(planned()), group=GROUP)
    assert kept == ()


def test_a_directory_that_goes_takes_its_files_along():
    present = OwnedObjects(files=("/run/x/launch", "/run/x/launch/a", "/run/x/supervisor.sock"))
    assert removals(present, group=GROUP) == (
        RemoveFile("/run/x/launch"),
        RemoveFile("/run/x/supervisor.sock"),
    )


def test_every_removal_has_a_name_and_plain_commands():
    present = replace(
        owned(all_steps(planned())),
        mounted_pins=True,
        pins=("x",),
        tables=("raw",),
        held=frozenset({"net.ipv4.ip_forward"}),
        links=(link("br-x", kind="bridge"), link("ve-x")),
    )
    for removal in removals(present, group=GROUP):
        assert removal.name
        assert removal.commands
