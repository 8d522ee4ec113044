"""The machine is described whatever its architecture."""

from __future__ import annotations

import pytest

from twinstack.linux import machine


@pytest.mark.parametrize("key", ["model name\t", "Model\t\t", "cpu model\t"])
def test_the_cpus_name_is_read_by_any_architectures_key(key: str) -> None:
    assert machine.parse_cpu_model(f"processor\t: 0\n{key}: A CPU\n") == "A CPU"
    assert machine.parse_cpu_model("processor\t: 0\n")
