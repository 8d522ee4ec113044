"""A service's settings: the contract's defaults, and an error that names a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.settings import SettingError, from_environment


def test_settings_have_the_contracts_defaults() -> None:
    settings = from_environment("order-service", {"TWINSTACK_ADDRESS": "10.0.0.40"})
    assert (settings.replica, settings.port) == ("order-service", 5000)
    assert settings.registry_url == "http://service-registry:8500"
    assert settings.log_requests


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "5000 "])
def test_a_bad_setting_is_named(port: str) -> None:
    with pytest.raises(SettingError, match="TWINSTACK_PORT"):
        from_environment("order-service", {"TWINSTACK_PORT": port, "TWINSTACK_ADDRESS": "::1"})


def test_a_secret_is_read_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text("s3cret\n")
    env = {"SECRETS_DIR": str(tmp_path), "TWINSTACK_ADDRESS": "::1"}
    settings = from_environment("order-service", env)
    assert settings.secret("redis_password") == "s3cret"
    assert settings.secret("postgres_password") == ""


def test_a_cache_is_shared_or_near_and_nothing_else() -> None:
    env = {"TWINSTACK_ADDRESS": "::1"}
    assert from_environment("product-service", env).cache == "shared"
    assert from_environment("product-service", {**env, "CACHE": "near"}).cache == "near"
    with pytest.raises(SettingError, match="CACHE=far: not one of shared, near"):
        from_environment("product-service", {**env, "CACHE": "far"})


def test_networks_are_read_and_a_bad_one_is_named() -> None:
    env = {"TWINSTACK_ADDRESS": "::1", "TWINSTACK_NETWORKS": "10.0.0.0/24 172.21.0.0/24"}
    networks = from_environment("service-registry", env).networks
    assert [str(network) for network in networks] == ["10.0.0.0/24", "172.21.0.0/24"]
    with pytest.raises(SettingError, match=r"TWINSTACK_NETWORKS=10\.0\.0\.1/24"):
        from_environment("service-registry", {**env, "TWINSTACK_NETWORKS": "10.0.0.1/24"})


def test_a_service_has_its_own_credential_for_the_registry(tmp_path: Path) -> None:
    (tmp_path / "registry_order_service_password").write_text("s3cret")
    env = {"SECRETS_DIR": str(tmp_path), "TWINSTACK_ADDRESS": "::1"}
    settings = from_environment("service-registry", env)
    assert settings.registry_password("order-service") == "s3cret"
    assert settings.registry_password("product-service") == ""
