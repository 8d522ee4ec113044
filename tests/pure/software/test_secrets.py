"""Passwords are created once; each is of one service, and no store holds any."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support.core_cases import edited_plan, planned
from twinstack.errors import Missing, TwinstackError
from twinstack.linux import files
from twinstack.software import secrets
from twinstack.software.secrets import (
    OPERATOR,
    drop_secrets,
    ensure_secrets,
    operator_password,
    place_secrets,
    postgres_roles,
    redis_acl,
    scram_verifier,
    secret_id,
    secret_path,
    secrets_of,
    stale_secrets,
)


def test_redis_users_are_those_with_a_password_and_one_that_can_only_ping():
    default, health, product = redis_acl({"product-service": "hunter2"}).splitlines()
    assert default == "user default off resetpass allkeys allchannels +@all"
    assert health == "user health on nopass resetkeys resetchannels -@all +ping"
    assert product.startswith(
        "user product-service #f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7 on "
    )


def test_a_service_without_rights_is_named():
    with pytest.raises(TwinstackError, match=r"user basket: .*redis\.acl gives it no rights"):
        redis_acl({"basket": "hunter2"})


def test_a_role_has_a_verifier_of_its_password_and_the_same_each_time():
    roles = postgres_roles({"order-service": "hunter2", "product-service": "hunter2"})
    order, product = (line.split() for line in roles.splitlines())
    assert (order[0], product[0]) == ("order-service", "product-service")
    assert order[1] == scram_verifier("order-service", "hunter2") != product[1]
    assert "hunter2" not in roles


@pytest.fixture(name="kept")
def _kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a directory of secrets that needs no root."""
    write, own = files.write, os.getuid()

    def write_as_us(path: Path, text: str, *, mode: int, owner: int = 0) -> None:
        write(path, text, mode=mode, owner=own)

    def is_current(path: Path, value: str | None, _owner: int) -> bool:
        return path.exists() and path.read_text() == value

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(secrets, "_is_current", is_current)
    monkeypatch.setattr(files, "write", write_as_us)
    return tmp_path / "secrets"


def test_passwords_stay_once_they_are_created_and_only_their_owner_reads_them(kept: Path):
    plan = planned()
    assert stale_secrets(kept, plan) == {
        replica.service for replica in plan.replicas if replica.secrets
    }
    ensure_secrets(kept, plan)
    first = secrets_of(kept, plan.replicas)
    ensure_secrets(kept, plan)
    assert secrets_of(kept, plan.replicas) == first
    assert stale_secrets(kept, plan) == frozenset()
    paths = [secret_path(kept, service, name) for service in first for name in first[service]]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o400}


def test_a_changed_copy_is_stale_and_is_corrected(kept: Path):
    plan = planned()
    ensure_secrets(kept, plan)
    service, values = next(iter(secrets_of(kept, plan.replicas).items()))
    files.write(secret_path(kept, service, next(iter(values))), "other", mode=0o400)
    assert stale_secrets(kept, plan) == {service}
    ensure_secrets(kept, plan)
    assert stale_secrets(kept, plan) == frozenset()


def test_no_password_opens_two_services_or_is_a_stores(kept: Path):
    plan = planned()
    ensure_secrets(kept, plan)
    values = secrets_of(kept, plan.replicas)
    passwords = {
        secret_id(service, name): value
        for service, own in values.items()
        for name, value in own.items()
        if name.endswith("_password")
    }
    assert len(set(passwords.values())) == len(passwords)
    stores = [*values["redis-cache"].values(), *values["postgres-db"].values()]
    assert not [text for text in passwords.values() for store in stores if text in store]
    for service in ("product-service", "order-service"):
        assert {"redis_password", "postgres_password"} <= values[service].keys()
        assert f"user {service} #" in values["redis-cache"]["redis.acl"]
        assert f"{service} SCRAM-SHA-256$4096:" in values["postgres-db"]["postgres.roles"]


def test_the_operators_password_is_roots_alone(kept: Path):
    plan = planned()
    ensure_secrets(kept, plan)
    password = operator_password(kept)
    values = secrets_of(kept, plan.replicas)
    assert password not in {text for own in values.values() for text in own.values()}
    assert f"user {OPERATOR} #" in values["redis-cache"]["redis.acl"]
    assert stat.S_IMODE((kept / ".vault").stat().st_mode) == 0o700


def test_a_secret_that_is_declared_no_longer_leaves_the_services_sight(kept: Path):
    ensure_secrets(kept, planned())
    fewer = edited_plan(lambda d: d["services"]["product-service"].pop("secrets"))
    (kept / "postgres-db" / "postgres_password").write_text("of an earlier version")
    ensure_secrets(kept, fewer)
    assert [path.name for path in (kept / "postgres-db").iterdir()] == ["postgres.roles"]
    assert "product-service" not in (kept / "redis-cache" / "redis.acl").read_text()


def test_secrets_made_elsewhere_are_placed_and_those_of_others_dropped(kept: Path, tmp_path: Path):
    plan, other = planned(), tmp_path / "other"
    ensure_secrets(kept, plan)
    values = secrets_of(kept, plan.replicas)
    place_secrets(other, plan.replicas, values)
    assert secrets_of(other, plan.replicas) == values
    drop_secrets(other, [plan.replica("redis-cache")])
    assert [path.name for path in other.iterdir()] == ["redis-cache"]


def test_only_root_creates_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for work in (ensure_secrets, stale_secrets):
        with pytest.raises(Missing, match="this needs root"):
            work(tmp_path, planned())
