from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from tests.support.project import ROOT
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import load
from twinstack.swarm.exposure import exposure
from twinstack.swarm.render import Contents, config_text, deployed_digest, object_names, stack_text

TOPOLOGY = load(ROOT / "topology.yml")
PLAN = resolve(TOPOLOGY, "tiered", "t")
WITHOUT_IPVS = exposure(False)
#: What Compose's schema has, and that of stack files has not, or `docker stack deploy` ignores.
TOO_NEW = {
    "name",
    "container_name",
    "depends_on",
    "extra_hosts",
    "security_opt",
    "restart",
    "cpus",
    "mem_limit",
    "pids_limit",
    "build",
    "tmpfs",
    "pull_policy",
}


def written(plan: Plan = PLAN, how: Any = WITHOUT_IPVS, contents: Any = None) -> dict[str, Any]:
    text = stack_text(plan, how, contents) if contents else stack_text(plan, how)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_a_stack_file_says_nothing_that_its_older_schema_does_not_know():
    found = written()
    assert found["version"] == "3.9"
    assert not TOO_NEW & set(found)
    for service in found["services"].values():
        assert not TOO_NEW & set(service)


def test_each_tier_is_an_overlay_network_with_room_for_the_tunnels_header():
    found = written()["networks"]
    assert set(found) == {"frontend", "backend", "database"}
    for segment in PLAN.segments:
        network = found[segment.name]
        assert network["driver"] == "overlay"
        assert network["driver_opts"] == {"com.docker.network.driver.mtu": "1450"}
        assert network["ipam"]["config"] == [{"subnet": str(segment.docker_subnet)}]


def test_without_ipvs_names_give_addresses_and_ports_are_the_hosts():
    services = written()["services"]
    assert {service["deploy"]["endpoint_mode"] for service in services.values()} == {"dnsrr"}
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"nginx-lb", "api-gateway"}
    for name, ports in published.items():
        assert [port["mode"] for port in ports] == ["host"]
        assert services[name]["deploy"]["mode"] == "global"
        # Two tasks cannot have one port of a host.
        assert services[name]["deploy"]["update_config"]["order"] == "stop-first"


def test_with_ipvs_services_have_one_address_and_ports_lead_there_from_every_node():
    services = written(how=exposure(True))["services"]
    assert {service["deploy"]["endpoint_mode"] for service in services.values()} == {"vip"}
    assert {service["deploy"]["mode"] for service in services.values()} == {"replicated"}
    assert {port["mode"] for service in services.values() for port in service.get("ports", ())} == {
        "ingress"
    }


def test_stores_stay_on_the_manager_and_no_other_service_has_to():
    services = written()["services"]
    bound = {name for name, service in services.items() if "placement" in service["deploy"]}
    assert bound == {"redis-cache", "postgres-db"}
    for name in bound:
        assert services[name]["deploy"]["placement"] == {"constraints": ["node.role == manager"]}
        assert services[name]["deploy"]["update_config"]["order"] == "stop-first"


def test_replicas_and_limits_are_those_of_the_plan():
    services = written()["services"]
    assert services["product-service"]["deploy"]["replicas"] == 3
    for replica in PLAN.replicas:
        if replica.number == 1 and replica.limits:
            found = services[replica.service]["deploy"]["resources"]["limits"]
            assert float(found["cpus"]) == replica.limits.cpus
            assert found["memory"] == f"{replica.limits.memory_bytes}b"
            assert found["pids"] == replica.limits.pids
    unlimited = written(resolve(load(ROOT / "topology.yml"), "tiered", "t", limited=False))
    assert not any("resources" in service["deploy"] for service in unlimited["services"].values())


def test_a_secret_is_its_services_users_alone_and_in_no_environment():
    found = written(contents=Contents(secrets={"product-service.redis_password": "0123456789ab"}))
    name = "twinstack-t_product-service-redis-password-0123456789ab"
    assert found["secrets"]["product-service-redis-password"]["name"] == name
    product = found["services"]["product-service"]
    assert {secret["target"] for secret in product["secrets"]} == {
        "redis_password",
        "postgres_password",
        "registry_product_service_password",
    }
    # 0400 is octal in YAML 1.1, which Docker's client reads.
    assert {(secret["uid"], secret["mode"]) for secret in product["secrets"]} == {("30030", 0o400)}
    for service in found["services"].values():
        assert not [name for name in service["environment"] if "PASSWORD" in name]


def test_an_image_is_named_by_its_id_so_that_no_registry_is_asked_for_it():
    found = written(contents=Contents(images={"nginx-lb": "sha256:1"}))["services"]
    assert found["nginx-lb"]["image"] == "sha256:1"
    assert found["nginx-lb"]["labels"]["twinstack.image"] == "twinstack-t/nginx-lb:latest"
    assert found["order-service"]["image"] == "twinstack-t/order-service:latest"
    texts = [stack_text(PLAN, WITHOUT_IPVS, Contents(images={"nginx-lb": image})) for image in "12"]
    assert deployed_digest(texts[0]) != deployed_digest(texts[1])
    assert len(deployed_digest(texts[0])) == 12


def test_nginx_resolves_the_gateway_again_and_again():
    text = config_text(PLAN) or ""
    assert "resolver 127.0.0.11 valid=1s" in text
    assert "proxy_pass http://$gateway;" in text
    assert "upstream gateway" not in text


def test_an_instance_finds_its_address_by_the_route_to_its_own_tier():
    environment = written()["services"]["product-service"]["environment"]
    backend = PLAN.segment("backend").docker_subnet
    assert environment["TWINSTACK_TOWARDS"] == str(backend.network_address + 1)
    assert "TWINSTACK_ADDRESS" not in environment
    assert environment["TWINSTACK_REPLICA"] == "product-service-{{.Task.Slot}}"


def test_an_instance_meets_the_registry_by_its_own_address_and_in_known_networks():
    environment = written(how=exposure(True))["services"]["product-service"]["environment"]
    assert environment["REGISTRY_URL"] == "http://tasks.service-registry:8500"
    subnets = [str(segment.docker_subnet) for segment in PLAN.segments]
    assert environment["TWINSTACK_NETWORKS"].split() == subnets
    assert written()["services"]["service-registry"]["deploy"]["update_config"]["order"] == (
        "stop-first"  # two tasks cannot have one table
    )


def test_the_objects_of_a_file_are_named_as_the_cluster_has_them():
    found = object_names(stack_text(PLAN, WITHOUT_IPVS), "t")
    assert {"twinstack-t_frontend", "twinstack-t_backend", "twinstack-t_database"} < found
    assert {"twinstack-t_order-service-redis-password", "twinstack-t_redis-acl"} < found
    assert len([name for name in found if name.startswith("twinstack-t_nginx-")]) == 1


def test_services_without_a_published_port_run_as_often_as_declared():
    fewer = replace(PLAN, published_ports=())
    services = written(fewer)["services"]
    assert {service["deploy"]["mode"] for service in services.values()} == {"replicated"}
    assert not any("ports" in service for service in services.values())
