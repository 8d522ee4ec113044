"""The chain with a near cache is the world's own, but for its ports and the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.load.programs import Program
from bench.questions.chains import SERVICES, SHIFT, program_of, shifted
from tests.support.core_cases import planned

PLAN = shifted(planned())
TREE, SOFTWARE = Path("/trees/any"), Path("/software/abc")


def program(name: str, own: Path) -> Program:
    return program_of(PLAN, PLAN.replica(name), own, TREE, SOFTWARE)


def test_only_what_is_started_has_other_ports() -> None:
    for replica in planned().replicas:
        moved = PLAN.replica(replica.name).port - replica.port
        assert moved == (SHIFT if replica.service in SERVICES else 0)


@pytest.mark.parametrize("name", ["product-service-2", "api-gateway", "service-registry"])
def test_a_program_differs_from_its_replica_as_stated(name: str, tmp_path: Path) -> None:
    made, replica = program(name, tmp_path), planned().replica(name)
    words = zip(made.command, replica.launch.command, strict=True)
    assert [pair for pair in words if len(set(pair)) > 1] == [
        (str(replica.port + SHIFT), str(replica.port))
    ]
    before, after = replica.environment_in("net"), made.environment
    assert {key for key in before if before[key] != after.get(key)} == {
        "TWINSTACK_PORT",
        "SECRETS_DIR",
        "REGISTRY_URL",
        "REDIS_HOST",
        "POSTGRES_HOST",
        *(["DATA_DIR"] if replica.launch.data else []),
    }
    assert after["CACHE"] == ("near" if replica.service == "product-service" else "shared")
    assert after["REGISTRY_URL"] == f"http://10.0.0.70:{8500 + SHIFT}"


def test_its_nginx_has_its_gateway_by_address(tmp_path: Path) -> None:
    program("nginx-lb", tmp_path)
    text = (tmp_path / "nginx.conf").read_text()
    assert f"listen {80 + SHIFT} " in text
    assert f"server 10.0.0.20:{3000 + SHIFT};" in text
    assert "api-gateway" not in text
