"""Passwords are created once, and each copy is for one service."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support.core_cases import planned
from twinstack.errors import Missing, TwinstackError
from twinstack.linux import files
from twinstack.software import secrets
from twinstack.software.secrets import (
    drop_secrets,
    ensure_secrets,
    place_secrets,
    redis_acl,
    secret_path,
    secrets_of,
    stale_secrets,
)


def test_redis_users_are_the_services_and_one_that_can_only_ping():
    default, health = redis_acl("hunter2").splitlines()
    assert "hunter2" not in default
    assert default.startswith("user default on #f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb2954")
    assert health == "user health on nopass resetkeys -@all +ping"


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


def test_secrets_made_elsewhere_are_placed_and_those_of_others_dropped(kept: Path, tmp_path: Path):
    plan, other = planned(), tmp_path / "other"
    ensure_secrets(kept, plan)
    values = secrets_of(kept, plan.replicas)
    place_secrets(other, plan.replicas, values)
    assert secrets_of(other, plan.replicas) == values
    drop_secrets(other, [plan.replica("redis-cache")])
    assert [path.name for path in other.iterdir()] == ["redis-cache"]


def test_a_secret_of_another_kind_cannot_be_created(tmp_path: Path):
    with pytest.raises(TwinstackError, match="secret token: cannot be made: only passwords"):
        secrets._value(tmp_path, "token")


def test_only_root_creates_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for work in (ensure_secrets, stale_secrets):
        with pytest.raises(Missing, match="this needs root"):
            work(tmp_path, planned())
