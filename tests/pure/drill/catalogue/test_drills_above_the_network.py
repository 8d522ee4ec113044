"""The drills above the network: what they write is a shell's, and tells no secret."""

from __future__ import annotations

import re
import subprocess

import pytest

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

MODULES = (
    *(names, limits, confinement, storage, secrets),
    *(edge, registry, redis, postgres, docker),
)
EVERY = tuple(drill for module in MODULES for drill in module.DRILLS)
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


def test_levels_are_even():
    of_level = [[drill.level for drill in EVERY].count(level) for level in (1, 2, 3, 4)]
    assert min(of_level) * 2 >= max(of_level), of_level


def test_what_an_engine_alone_has_is_for_docker_alone():
    assert {drill.worlds for drill in docker.DRILLS} == {("docker",)}
