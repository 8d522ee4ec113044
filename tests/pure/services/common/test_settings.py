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
