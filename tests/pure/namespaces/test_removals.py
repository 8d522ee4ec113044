"""What goes bears our mark and is not wanted: all of it, nothing else, in an order that works."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from tests.support.core_cases import all_steps, edited_plan, link, planned, satisfied
from twinstack.namespaces.facts import MarkedObjects
from twinstack.namespaces.removals import (
    Kind,
    Removal,
    RemoveLinks,
    RemoveObject,
    RemoveRules,
    removals,
)
from twinstack.namespaces.steps import NetStep
from twinstack.namespaces.teardown import EFFECTS

GROUP = 77


def owned(steps: tuple[NetStep, ...]) -> MarkedObjects:
    return satisfied(steps).owned


def names(todo: tuple[Removal, ...]) -> list[str]:
    return [removal.name for removal in todo]


def kind_of(removal: Removal) -> Kind | type:
    return removal.kind if isinstance(removal, RemoveObject) else type(removal)


def targets(todo: tuple[Removal, ...], kind: Kind) -> set[str]:
    objects = (removal for removal in todo if isinstance(removal, RemoveObject))
    return {removal.target for removal in objects if removal.kind == kind}


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_declared_objects_stay(shape: str):
    steps = all_steps(planned(shape))
    assert removals(owned(steps), steps, group=GROUP) == ()


def test_nothing_is_removed_where_nothing_is_ours():
    assert removals(MarkedObjects(), group=GROUP) == ()


def test_all_goes_when_nothing_is_declared_processes_first():
    present = owned(all_steps(planned()))
    todo = removals(present, group=GROUP)
    assert todo[0] == RemoveObject("supervisor")
    kinds = dict.fromkeys(map(kind_of, todo))
    order = ["supervisor", "cgroup", RemoveRules, RemoveLinks, "namespace"]
    assert [kind for kind in kinds if kind in order] == order
    assert targets(todo, "namespace") == set(present.namespaces)
    assert [removal.links for removal in todo if isinstance(removal, RemoveLinks)] == [
        present.links
    ]
    assert targets(todo, "cgroup") == set(present.groups)


def test_an_undeclared_replica_goes_with_everything_of_its_own():
    present = owned(all_steps(planned()))
    fewer = edited_plan(lambda d: d["services"]["product-service"].update(replicas=2))
    todo = removals(present, all_steps(fewer), group=GROUP)
    gone = "product-service-3"
    for kind in ("process", "cgroup", "namespace"):
        assert targets(todo, kind) == {gone}
    assert targets(todo, "file")
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
    assert todo[0] == RemoveObject("supervisor")
    assert set(map(kind_of, todo)) == {"supervisor", "cgroup", "file"}


def test_a_mount_of_the_pins_goes_after_the_last_namespace():
    present = replace(owned(all_steps(planned())), mounted_pins=True, tables=("raw",))
    todo = removals(present, group=GROUP)
    kinds = [kind_of(removal) for removal in todo]
    assert kinds.index("pins mount") > max(
        number for number, kind in enumerate(kinds) if kind == "namespace"
    )
    assert targets(todo, "table") == {"raw"}
    kept = removals(present, all_steps(planned()), group=GROUP)
    assert kept == ()


def test_a_directory_that_goes_takes_its_files_along():
    present = MarkedObjects(files=("/run/x/launch", "/run/x/launch/a", "/run/x/supervisor.sock"))
    assert removals(present, group=GROUP) == (
        RemoveObject("file", "/run/x/launch"),
        RemoveObject("file", "/run/x/supervisor.sock"),
    )


def test_every_kind_of_removal_has_a_name_plain_commands_and_an_effect():
    steps = all_steps(planned())
    present = replace(
        owned(steps),
        instance="main",
        faults=("kill:redis-cache",),
        mounted_pins=True,
        pins=("x",),
        tables=("raw",),
        held=frozenset({"net.ipv4.ip_forward"}),
        links=(link("br-x", kind="bridge"), link("ve-x")),
        mounts=("host-1",),
        mounts_kept=True,
        programs=frozenset({"gone"}),
    )
    todo = (*removals(present, group=GROUP), *removals(present, steps, group=GROUP))
    kinds = set(get_args(Kind))
    assert kinds <= set(map(kind_of, todo))
    assert set(EFFECTS) == kinds
    for removal in todo:
        for text in (removal.name, *removal.commands):
            assert text
            assert "{" not in text
    release = RemoveObject("mounts", "host-1", "main")
    assert release.commands[0] == "umount /run/twinstack/main/mounts/host-1"
