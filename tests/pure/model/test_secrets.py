"""A secret is a password or what a store checks passwords by; a misspelt one is found."""

from __future__ import annotations

import pytest

from twinstack.model.secrets import remedy_for

SERVICES = ("order-service", "service-registry")


@pytest.mark.parametrize(
    "name",
    [
        "redis_password",
        "postgres_password",
        "session_password",
        "registry_order_service_password",
        "redis.acl",
        "postgres.roles",
        "payment_password",
    ],
)
def test_a_secret_that_is_provided_needs_no_remedy(name: str):
    assert remedy_for(name, SERVICES) is None


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("redis_pasword", "did you mean redis_password?"),
        ("pstgres_password", "did you mean postgres_password?"),
        ("redis.alc", "did you mean redis.acl?"),
        ("registry_ordr_service_password", "did you mean registry_order_service_password?"),
        ("registry_x_password", "did you mean registry_"),
        ("token", "name a password (…_password), redis.acl or postgres.roles"),
        ("..", "name a password"),
        ("../x_password", "name a password"),
        ("a b_password", "name a password"),
        ("", "name a password"),
    ],
)
def test_any_other_has_a_remedy(name: str, remedy: str):
    assert (remedy_for(name, SERVICES) or "").startswith(remedy)
