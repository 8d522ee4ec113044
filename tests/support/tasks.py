"""Call the tasks on a world that only records what they do to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from invoke.context import Context

from front import reporting
from tests.support.bench_fakes import PLAN
from twinstack.errors import Missing
from twinstack.reconcile import Preview
from twinstack.world import ServiceState


@dataclass
class FakeNet:
    """The namespace world as the tasks ask it."""

    state: str = "healthy"
    changes: tuple[Any, ...] = ()
    unbuilt: tuple[str, ...] = ()
    did: list[str] = field(default_factory=list)
    plan: Any = PLAN

    def status(self) -> tuple[ServiceState, ...]:
        return tuple(
            ServiceState(replica.name, replica.service, "here", "10.0.0.1", 80, self.state)  # type: ignore[arg-type]
            for replica in PLAN.replicas
        )

    def absence(self) -> Missing:
        return Missing("net world", "is not up")

    def preview(self) -> Any:
        self.did.append("preview")
        return Preview(2, self.changes, self.unbuilt)

    def up(self, **_: object) -> tuple[ServiceState, ...]:
        self.did.append("up")
        return self.status()


def call(task: Any, **words: Any) -> int:
    """Call a task as Invoke does; give the exit code that it leaves with, 0 without."""
    try:
        task(Context(), **words)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def raising(error: BaseException) -> int:
    """Let a task raise an error; give the exit code that it leaves with."""

    def body() -> None:
        raise error

    with pytest.raises(SystemExit) as left:
        reporting.guarded(body)()
    return int(left.value.code or 0)
