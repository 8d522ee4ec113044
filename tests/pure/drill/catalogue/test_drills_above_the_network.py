"""The drills above the network: what they name is there, and what they write is a shell's."""

from __future__ import annotations

import re
import string
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.core_cases import planned
from twinstack.drill.catalogue import (
    confinement,
    docker,
    edge,
    limits,
    names,
    postgres,
    redis,
    registry,
    secrets,
    storage,
)
from twinstack.drill.drill import Drill
from twinstack.drill.site import Place

MODULES = (
    *(names, limits, confinement, storage, secrets),
    *(edge, registry, redis, postgres, docker),
)
EVERY = tuple(drill for module in MODULES for drill in module.DRILLS)
PLAN = planned("tiered")
OF_SITE = {"url", "instance", "runner", "vault", "seccomp", "compose", "compose.file"}
each_drill = pytest.mark.parametrize("drill", EVERY, ids=lambda drill: drill.name)


class Anything:
    """Stands for whatever a command names."""

    def __getattr__(self, name: str) -> Anything:
        return self

    def __getitem__(self, name: str) -> Anything:
        return self

    def __str__(self) -> str:
        return "7"


class Names(dict[str, Anything]):
    """Knows every name."""

    def __missing__(self, key: str) -> Anything:
        return Anything()


def commands(drill: Drill) -> tuple[str, ...]:
    return (*drill.probes, *drill.put, *drill.repair, *drill.undo, *drill.wrong)


def fields(drill: Drill) -> Iterator[str]:
    texts = (drill.symptom, drill.explanation, *drill.hints, *commands(drill))
    return (field for text in texts for _, field, _, _ in string.Formatter().parse(text) if field)


@each_drill
def test_what_stands_in_braces_is_known(drill: Drill):
    known = {*(replica.name for replica in PLAN.replicas), *(("target",) if drill.targets else ())}
    for field in set(fields(drill)) - OF_SITE:
        name, _, attribute = field.partition(".")
        name, _, towards = name.partition("[")
        assert name in known, field
        assert not towards or towards.rstrip("]") in known, field
        assert hasattr(Place, attribute.partition(".")[0]), field


@each_drill
def test_its_commands_are_a_shells(drill: Drill):
    written = "\n".join(command.format_map(Names()) for command in commands(drill))
    done = subprocess.run(["sh", "-n"], input=written, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@each_drill
def test_no_secret_becomes_a_word_of_a_command(drill: Drill):
    for command in commands(drill):
        assert not re.search(
            r"\$\(\s*(cat|<)\s*\{[a-z-]+\.?(secrets|vault)?\}/\w*password", command
        )
        assert "PGPASSWORD" not in command
        assert "REDISCLI_AUTH" not in command


@each_drill
def test_it_says_all_that_a_student_needs(drill: Drill):
    assert len(drill.hints) == 3
    assert drill.wrong
    assert drill.refusal
    assert drill.area in {module.__name__.rpartition(".")[2] for module in MODULES}


def test_names_are_given_once_and_levels_evenly():
    assert len({drill.name for drill in EVERY}) == len(EVERY) >= 22
    of_level = [[drill.level for drill in EVERY].count(level) for level in (1, 2, 3, 4)]
    assert min(of_level) * 2 >= max(of_level), of_level


def test_what_an_engine_alone_has_is_for_docker_alone():
    assert {drill.worlds for drill in docker.DRILLS} == {("docker",)}
