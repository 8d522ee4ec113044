"""The steps of what runs: what a process may hide, and commands that work as they are printed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.support.core_cases import all_steps, planned, satisfied, with_fact
from twinstack.namespaces.facts import ProgramFacts
from twinstack.namespaces.process_steps import (
    Cgroup,
    InstanceDirectory,
    ReplicaProcess,
    Supervisor,
    file_facts,
)
from twinstack.reconcile import diff

STEPS = all_steps(planned("tiered"))
FACTS = satisfied(STEPS)
_with = partial(with_fact, FACTS)


def test_a_process_without_environment_is_judged_by_its_script():
    (process,) = (step for step in STEPS if step.name == "process nginx-lb")
    assert isinstance(process, ReplicaProcess)
    silent = replace(FACTS.processes["nginx-lb"], launch=None)
    assert diff((process,), _with("processes", "nginx-lb", silent)) == ()
    rewritten = {**FACTS.files, process.script: file_facts("cafe", 0o700)}
    facts = replace(_with("processes", "nginx-lb", silent), files=rewritten)
    assert [change.reason for change in diff((process,), facts)] == [
        "was started by another script"
    ]


def test_a_process_that_cannot_be_looked_into_is_left_running():
    process = ProgramFacts("redis-cache", 5, "RUNNING")
    assert diff(STEPS, _with("processes", "redis-cache", process)) == ()


def test_commands_of_an_unlimited_cgroup_are_accepted_by_the_kernel():
    commands = [c for step in STEPS if isinstance(step, Cgroup) for c in step.commands]
    assert not [c for c in commands if "echo max" in c and "pids.max" not in c]


def test_the_supervisors_command_can_be_run_as_it_is_printed():
    (supervisor,) = (step for step in STEPS if isinstance(step, Supervisor))
    (command,) = supervisor.commands
    assert command.startswith(("PYTHONPATH=", "env PYTHONPATH=", "/usr/bin/python3"))


def test_a_file_in_the_place_of_a_directory_is_noticed():
    directory = next(step for step in STEPS if isinstance(step, InstanceDirectory))
    assert directory.difference(_with("files", directory.path, "0123456789ab")) is not None
