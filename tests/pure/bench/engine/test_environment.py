"""The machine is described as JSON can hold it."""

from __future__ import annotations

import json

from bench.engine import environment
from tests.support.bench_fakes import PLAN


def test_the_description_has_limits_and_revision() -> None:
    described = json.loads(json.dumps(environment.describe(PLAN, {"nginx": "1.22"})))
    assert described["limits"]["nginx-lb"].startswith("1 cores, ")
    assert described["memory_bytes"] > 1 << 28
    assert described["software"] == {"nginx": "1.22"}
    assert described["revision"]
