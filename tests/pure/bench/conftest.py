"""A stack whose worlds note what is done to them, and measurements that are only noted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bench_fakes import FakeStack
from twinstack.errors import StepFailed
from twinstack.state import paths


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(paths, "RUN", tmp_path)
    fake = FakeStack()
    monkeypatch.setattr("bench.engine.worlds.limited", lambda world: fake.limited[world.name])
    return fake


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Any, ...]]]:
    """Replace a function; gives the list of the arguments that it is called with."""

    def replaced(module: Any, name: str, result: object = None) -> list[tuple[Any, ...]]:
        calls: list[tuple[Any, ...]] = []

        def stand_in(*arguments: Any, **_: Any) -> object:
            calls.append(arguments)
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(module, name, stand_in)
        return calls

    return replaced


@pytest.fixture
def failure() -> StepFailed:
    return StepFailed("ab", "exited 1")
