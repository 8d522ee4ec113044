"""The machine is described as JSON can hold it."""

from __future__ import annotations

import json

import pytest

from bench.engine import environment
from tests.support.bench_fakes import PLAN


@pytest.mark.parametrize("key", ["model name\t", "Model\t\t", "cpu model\t"])
def test_the_cpus_name_is_read_by_any_architectures_key(key: str) -> None:
    assert environment.parse_cpu_model(f"processor\t: 0\n{key}: A CPU\n") == "A CPU"
    assert environment.parse_cpu_model("processor\t: 0\n")


def test_the_description_has_limits_and_revision() -> None:
    described = json.loads(json.dumps(environment.describe(PLAN, {"nginx": "1.22"})))
    assert described["limits"]["nginx-lb"].startswith("1 cores, ")
    assert described["memory_bytes"] > 1 << 28
    assert described["software"] == {"nginx": "1.22"}
    assert described["revision"]
