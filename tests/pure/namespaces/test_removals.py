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


def names(found: tuple[Removal, ...]) -> list[str]:
    return [one.name for one in found]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_nothing_goes_of_what_is_wanted(shape: str):
    steps = all_steps(planned(shape))
    assert removals(owned(steps), steps, group=GROUP) == ()


def test_nothing_is_removed_where_nothing_is_ours():
    assert removals(OwnedObjects(), group=GROUP) == ()


def test_all_goes_when_nothing_is_wanted_what_runs_first():
    there = owned(all_steps(planned()))
    found = removals(there, group=GROUP)
    assert found[0] == EndSupervisor()
    kinds = [type(one) for one in found]
    order = [EndSupervisor, RemoveCgroup, RemoveRules, RemoveLinks, RemoveNamespace]
    assert [kind for kind in dict.fromkeys(kinds) if kind in order] == order
    assert {one.namespace for one in found if isinstance(one, RemoveNamespace)} == set(
        there.namespaces
    )
    assert [one.links for one in found if isinstance(one, RemoveLinks)] == [there.links]
    assert {one.replica for one in found if isinstance(one, RemoveCgroup)} == set(there.groups)


def test_a_replica_that_is_declared_no_longer_goes_with_all_that_was_its_own():
    there = owned(all_steps(planned()))
    fewer = edited_plan(lambda d: d["services"]["product-service"].update(replicas=2))
    found = removals(there, all_steps(fewer), group=GROUP)
    gone = "product-service-3"
    assert EndProgram(gone) in found
    assert RemoveCgroup(gone, there.instance) in found
    assert RemoveNamespace(gone) in found
    assert [one for one in found if isinstance(one, RemoveFile)]
    (links,) = (one for one in found if isinstance(one, RemoveLinks))
    assert len(links.links) == 1
    assert not links.together
    assert all(gone in one.name or one is links for one in found), names(found)


def test_a_shape_is_left_by_its_bridges_alone():
    found = removals(owned(all_steps(planned("flat"))), all_steps(planned("tiered")), group=GROUP)
    assert names(found) == ["bridge br-app"]


def test_links_go_together_only_when_the_group_is_all_ours():
    there = owned(all_steps(planned()))
    (together,) = (one for one in removals(there, group=GROUP) if isinstance(one, RemoveLinks))
    assert together.together
    assert together.commands == (f"ip link delete group {GROUP}",)
    (apart,) = (
        one
        for one in removals(replace(there, strangers=True), group=GROUP)
        if isinstance(one, RemoveLinks)
    )
    assert not apart.together


def test_the_network_alone_sheds_everything_that_runs():
    steps = all_steps(planned())
    bare = tuple(
        step
        for step in steps
        if step.name.split()[0] in {"sysctl", "bridge", "rules", "namespace", "veth"}
    )
    found = removals(owned(steps), bare, group=GROUP)
    assert found[0] == EndSupervisor()
    assert {type(one) for one in found} == {EndSupervisor, RemoveCgroup, RemoveFile}


def test_a_mount_of_the_pins_goes_after_the_last_namespace():
    there = replace(owned(all_steps(planned())), mounted_pins=True, tables=("raw",))
    found = removals(there, group=GROUP)
    last = max(place for place, one in enumerate(found) if isinstance(one, RemoveNamespace))
    assert found.index(UnmountPins()) > last
    assert RemoveTable("raw") in found
    kept = removals(there, all_steps(planned()), group=GROUP)
    assert kept == ()


def test_a_directory_that_goes_takes_its_files_along():
    there = OwnedObjects(files=("/run/x/launch", "/run/x/launch/a", "/run/x/supervisor.sock"))
    assert removals(there, group=GROUP) == (
        RemoveFile("/run/x/launch"),
        RemoveFile("/run/x/supervisor.sock"),
    )


def test_every_removal_has_a_name_and_plain_commands():
    there = replace(
        owned(all_steps(planned())),
        mounted_pins=True,
        pins=("x",),
        tables=("raw",),
        held=frozenset({"net.ipv4.ip_forward"}),
        links=(link("br-x", kind="bridge"), link("ve-x")),
    )
    for one in removals(there, group=GROUP):
        assert one.name
        assert one.commands
