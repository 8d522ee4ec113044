"""The tasks' namespace world, faked."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.support.bench_fakes import PLAN
from tests.support.tasks import FakeNet
from twinstack import stack


@pytest.fixture(name="net")
def _net(monkeypatch: pytest.MonkeyPatch) -> FakeNet:
    net = FakeNet()

    def clean(say: Callable[[str], None], *, keep_stores: bool) -> tuple[str, ...]:
        net.did.append("clean, stores kept" if keep_stores else "clean")
        return ("thing",)

    here = SimpleNamespace(
        instance="lab",
        net=lambda *_, **__: net,
        docker=lambda *_, **__: net,
        clean=clean,
        removable=lambda *, keep_stores: ("thing", "logs") if keep_stores else ("thing", "data"),
        plan=lambda *_, **__: PLAN,
        docker_shape=lambda: None,
        net_shape=lambda: None if net.state == "absent" else "flat",
    )
    monkeypatch.setattr(stack, "from_environment", lambda: here)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return net
