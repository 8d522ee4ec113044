"""The launch steps of a plan, and what is looked for in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.support.core_cases import SOFTWARE, edited_plan, layout, planned
from twinstack.model.plan import Plan, Replica
from twinstack.namespaces.launch import ProvidedSoftware, steps
from twinstack.namespaces.process_steps import InstanceFile, ReplicaProcess
from twinstack.namespaces.steps import NetStep


def launched(
    plan: Plan | None = None, software: ProvidedSoftware = SOFTWARE
) -> tuple[NetStep, ...]:
    return steps(plan or planned(), software, layout())


def file_of(listed: tuple[NetStep, ...], ending: str) -> InstanceFile:
    (file,) = (
        step for step in listed if isinstance(step, InstanceFile) and step.path.endswith(ending)
    )
    return file


def scripts(listed: tuple[NetStep, ...]) -> dict[str, InstanceFile]:
    paths = {
        step.script: step.replica
        for step in listed
        if isinstance(step, ReplicaProcess) and step.namespace
    }
    return {
        paths[step.path]: step
        for step in listed
        if isinstance(step, InstanceFile) and step.path in paths
    }


def digests(listed: tuple[NetStep, ...]) -> dict[str, str]:
    """Give the digests of the replicas' processes: the rotator is the host's own."""
    return {
        step.replica: step.digest
        for step in listed
        if isinstance(step, ReplicaProcess) and step.namespace
    }


def changed(plan: Plan, name: str, change: Callable[[Replica], Replica]) -> Plan:
    replicas = tuple(change(each) if each.name == name else each for each in plan.replicas)
    return replace(plan, replicas=replicas)


def edit(service: str, **values: Any) -> Plan:
    return edited_plan(lambda d: d["services"][service].update(values))
