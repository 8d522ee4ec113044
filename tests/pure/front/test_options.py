"""The options of tasks: each has a help text, and a wrong world or format is one clear line."""

from __future__ import annotations

import pytest
from invoke.collection import Collection

import tasks
from front import options
from twinstack.errors import TwinstackError


def test_every_option_of_every_task_has_its_help_at_every_call() -> None:
    root: Collection = tasks.namespace
    for collection in (root, *root.collections.values()):
        for name, task in collection.tasks.items():
            for _ in range(2):
                assert [opt.name for opt in task.get_arguments() if not opt.help] == [], name


def test_a_value_that_is_no_choice_is_refused_with_the_choices() -> None:
    with pytest.raises(TwinstackError, match="--format: cannot be png: it is text, svg or json"):
        options.one_of("format", "png", ("text", "svg", "json"))


def test_both_worlds_are_net_and_docker() -> None:
    assert options.worlds_of("both") == ("net", "docker")
    assert options.worlds_of("docker") == ("docker",)
    with pytest.raises(TwinstackError, match="--world: cannot be mars: it is net, docker or both"):
        options.worlds_of("mars")
