"""The Docker world's files: what a Plan becomes, and that the committed ones are of today."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.bench_fakes import TOPOLOGY
from tests.support.core_cases import edited_plan
from tests.support.project import ROOT
from twinstack.compose.client import compose_program
from twinstack.compose.render import (
    Recorded,
    compose_text,
    definition_digests,
    image_name,
    recorded_in,
    render_files,
    secrets_directory,
)
from twinstack.model.plan import Plan, resolve
from twinstack.model.releases import ServiceRelease
from twinstack.model.topology_file import load


def plan_of(shape: str = "flat", instance: str = "main", *, limited: bool = True) -> Plan:
    return resolve(load(ROOT / "topology.yml"), shape, instance, limited=limited)


def compose_of(plan: Plan) -> Any:
    return yaml.safe_load(render_files(plan)["compose/docker-compose.yml"])


def test_committed_files_are_what_the_topology_renders_to():
    rendered = render_files(plan_of())
    stale = [
        path
        for path, text in rendered.items()
        if not (ROOT / path).exists() or (ROOT / path).read_text() != text
    ]
    assert stale == [], 'run "invoke docker.render" and commit what it writes'


def test_a_near_cache_is_rendered_for_the_product_service_alone():
    near = edited_plan(lambda d: d["services"]["product-service"].update(cache="near"))
    caches = {
        name: service["environment"]["CACHE"]
        for name, service in compose_of(near)["services"].items()
        if "CACHE" in service.get("environment", {})
    }
    assert caches == {replica.name: "near" for replica in near.replicas_of("product-service")}


def test_committed_directories_hold_nothing_that_is_not_rendered():
    rendered = set(render_files(plan_of()))
    present = {
        path.relative_to(ROOT).as_posix()
        for directory in ("dockerfiles", "compose")
        for path in (ROOT / directory).rglob("*")
        if path.is_file()
    }
    assert present - rendered == set()


def test_env_file_leads_compose_to_the_committed_file():
    words = (ROOT / ".env").read_text().split()
    assert words == [
        "COMPOSE_FILE=compose/docker-compose.yml",
        "COMPOSE_PROJECT_NAME=twinstack-main",
    ]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
@pytest.mark.parametrize("limited", [True, False])
def test_compose_itself_accepts_the_file(shape: str, limited: bool, tmp_path: Path):
    file = tmp_path / "docker-compose.yml"
    file.write_text(render_files(plan_of(shape, limited=limited))["compose/docker-compose.yml"])
    done = subprocess.run(
        [compose_program(), "--file", file, "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_container_is_read_only_without_capabilities_and_restarted():
    for name, service in compose_of(plan_of())["services"].items():
        seen = {key: service[key] for key in ("read_only", "cap_drop", "security_opt", "restart")}
        assert (name, seen) == (
            name,
            {
                "read_only": True,
                "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges"],
                "restart": "unless-stopped",
            },
        )
        assert "cap_add" not in service
        assert "privileged" not in service


def test_every_replica_has_the_limits_and_addresses_of_the_plan():
    plan = plan_of("tiered")
    services = compose_of(plan)["services"]
    assert list(services) == [replica.name for replica in plan.replicas]
    for replica in plan.replicas:
        service, limits = services[replica.name], replica.limits
        assert limits is not None
        assert service["cpus"] == limits.cpus
        assert service["pids_limit"] == limits.pids
        assert service["mem_limit"] == f"{limits.memory_bytes // 1024**2}m"
        assert service["memswap_limit"] == service["mem_limit"]
        assert {name: network["ipv4_address"] for name, network in service["networks"].items()} == {
            attachment.segment: str(attachment.address) for attachment in replica.attachments
        }


def test_lifted_limits_are_no_limits():
    for service in compose_of(plan_of(limited=False))["services"].values():
        assert not {"cpus", "mem_limit", "memswap_limit", "pids_limit"} & set(service)


def test_only_stores_are_waited_for():
    services = compose_of(plan_of())["services"]
    waits = {name: sorted(each.get("depends_on", {})) for name, each in services.items()}
    assert waits["product-service-3"] == ["postgres-db", "redis-cache"]
    assert waits["order-service"] == ["postgres-db", "redis-cache"]
    assert waits["api-gateway"] == []
    assert waits["nginx-lb"] == []


def test_published_ports_are_those_of_the_topology():
    services = compose_of(plan_of())["services"]
    ports = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert ports == {"nginx-lb": ["0.0.0.0:8088:80"], "api-gateway": ["127.0.0.1:3000:3000"]}


def test_no_secret_is_in_any_file_and_each_service_has_its_own_copy():
    compose = compose_of(plan_of())
    directory = secrets_directory("main")
    for name, service in compose["services"].items():
        own = name.rstrip("-123")
        for secret in service.get("secrets", []):
            file = Path(compose["secrets"][secret["source"]]["file"])
            assert file == directory / own / secret["target"]
        assert not any("PASSWORD" in variable for variable in service["environment"])


def test_instances_share_no_name_subnet_or_port():
    def names(instance: str) -> set[str]:
        plan = plan_of(instance=instance)
        compose = compose_of(plan)
        return (
            {each["container_name"] for each in compose["services"].values()}
            | {each["image"] for each in compose["services"].values()}
            | {network["name"] for network in compose["networks"].values()}
            | {volume["name"] for volume in compose["volumes"].values()}
            | {each["file"] for each in compose["secrets"].values()}
            | {str(segment.docker_subnet) for segment in plan.segments}
            | {port for each in compose["services"].values() for port in each.get("ports", [])}
        )

    assert names("main") & names("other") == set()


def test_every_dockerfile_has_two_stages_a_user_and_a_health_check():
    plan = plan_of()
    files = render_files(plan)
    for replica in plan.replicas:
        lines = files[f"dockerfiles/{replica.service}/Dockerfile"].splitlines()
        assert sum(line.startswith("FROM ") for line in lines) == 2
        assert f"USER {replica.user}:{replica.user}" in lines
        assert f"EXPOSE {replica.port}" in lines
        probe = next(line.strip() for line in lines if line.startswith("    CMD "))
        assert json.loads(probe.removeprefix("CMD ")) == list(replica.health.command)
        command = next(line for line in lines if line.startswith("CMD "))
        assert json.loads(command.removeprefix("CMD ")) == list(replica.launch.command)


def test_a_probe_comes_every_two_seconds_at_most_and_starts_no_python():
    for replica in plan_of().replicas:
        assert replica.health.interval_s <= 2
        assert "python" not in " ".join(replica.health.command)


def test_an_image_is_named_after_instance_and_service():
    assert image_name(plan_of(), "order-service") == "twinstack-main/order-service:latest"


def test_nginx_leads_to_every_replica_of_the_gateway():
    text = render_files(plan_of())["dockerfiles/nginx-lb/nginx.conf"]
    assert "server api-gateway:3000;" in text
    assert "listen 80 default_server" in text


def test_redis_gets_half_of_its_limit_for_data():
    text = render_files(plan_of())["dockerfiles/redis-cache/redis.conf"]
    assert f"maxmemory {64 * 1024**2}\n" in text


def test_a_scale_is_read_back_from_the_file_that_was_rendered_with_it() -> None:
    scale = (("order-service", 2), ("product-service", 5))
    assert recorded_in(compose_text(resolve(TOPOLOGY, scale=scale))).scale == scale
    assert recorded_in(compose_text(resolve(TOPOLOGY))) == Recorded()


def test_a_release_is_read_back_and_names_the_image_of_its_replicas_alone() -> None:
    released = (ServiceRelease("product-service", ("aaaaaaaaaaaa", ""), before="bbbbbbbbbbbb"),)
    plan = resolve(TOPOLOGY, released=released)
    text = compose_text(plan, context=None)
    assert recorded_in(text) == Recorded(releases=released)
    services = yaml.safe_load(text)["services"]
    name = "twinstack-main/product-service"
    assert services["product-service"]["image"] == f"{name}:version-aaaaaaaaaaaa"
    assert services["product-service-2"]["image"] == f"{name}:latest"
    before, after = definition_digests(resolve(TOPOLOGY)), definition_digests(plan)
    assert {each for each in before if before[each] != after[each]} == {"product-service"}


def test_another_scale_changes_no_other_replicas_definition() -> None:
    before = definition_digests(resolve(TOPOLOGY))
    after = definition_digests(resolve(TOPOLOGY, scale=(("product-service", 5),)))
    assert {name: after[name] for name in before} == before
