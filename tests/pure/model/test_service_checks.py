"""What a service says against itself or another is one clear line for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core_cases import Edit, written
from tests.support.model_cases import one_mistake, service
from twinstack.model.topology_file import parse


def rename(old: str, new: str) -> Edit:
    """Rename a service wherever it is spoken of."""

    def edit(d: dict[str, Any]) -> None:
        d["services"] = {new if k == old else k: v for k, v in d["services"].items()}
        for flow in d["flows"]:
            flow.update({key: new for key in ("from", "to") if flow[key] == old})
        for port in d["host_ports"]:
            port["service"] = new if port["service"] == old else port["service"]

    return edit


RULES: dict[str, tuple[Edit, str, str]] = {
    "service named badly": (rename("nginx-lb", "Nginx_LB"), "services.Nginx_LB", "lower-case"),
    "service named too long": (rename("nginx-lb", "n" * 41), f"services.{'n' * 41}", "1 to 40"),
    "service named world": (
        lambda d: (rename("nginx-lb", "world")(d), d["flows"].clear()),
        "services.world",
        "peer outside",
    ),
    "service named as a replica": (
        rename("nginx-lb", "product-service-2"),
        "services.product-service",
        "also be a replica",
    ),
    "two services with one uid": (
        service("api-gateway", user=30010),
        "services.api-gateway.user",
        "30010 is used twice: nginx-lb has it",
    ),
    "an egress port twice": (
        service("nginx-lb", egress={"tcp": [80, 443, 80]}),
        "services.nginx-lb.egress.tcp.2",
        "names port 80 twice",
    ),
    "the ping of another store": (
        lambda d: d["services"]["postgres-db"].update(health={"ping": "redis"}),
        "services.postgres-db.health.ping",
        "cannot be redis: the runtime is postgres",
    ),
    "a secret that nothing provides": (
        service("nginx-lb", secrets=["token"]),
        "services.nginx-lb.secrets.0",
        "'token' is no secret: nothing provides it; name a password",
    ),
    "what a store checks passwords by": (
        service("order-service", secrets=["redis.acl"]),
        "services.order-service.secrets.0",
        "a redis checks passwords by it",
    ),
    "the registry's password of no service": (
        service("service-registry", secrets=["registry_orders_service_password"]),
        "services.service-registry.secrets.0",
        "did you mean registry_order_service_password?",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_contradiction_is_one_clear_line_with_its_path_and_remedy(name: str):
    edit, path, fragment = RULES[name]
    line = one_mistake(written(edit))
    assert line.startswith(f"{path}: "), line
    assert fragment in line
    assert "; " in line


def test_a_password_of_ones_own_is_a_secret():
    parse(written(service("order-service", secrets=["redis_password", "payment_password"])))
