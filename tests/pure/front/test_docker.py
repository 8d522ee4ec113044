"""The tasks of the Docker world."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from front.docker import TASKS


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_option_has_a_help_text(task: Any):
    options = list(inspect.signature(task.body).parameters)[1:]  # the first is invoke's context
    assert set(options) == set(task.help)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_help_of_options_is_there_each_time(task: Any):
    first, second = ([one.help for one in task.get_arguments()] for _ in range(2))
    assert first == second
    assert all(second)
