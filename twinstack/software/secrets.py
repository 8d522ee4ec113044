"""Passwords: created once for a world, each copy readable by one service.

A world's secrets are files `<directory>/<service>/<name>` beneath root's directories, owned by the
service's uid, with mode 0400. They are in no environment, image, process list or compose file.
A service has a password of its own for each store; the stores get what passwords are checked by.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from twinstack.errors import WrongUse
from twinstack.linux import files
from twinstack.model.plan import Plan, Replica
from twinstack.model.secrets import (
    OF_STORES,
    POSTGRES_PASSWORD,
    POSTGRES_ROLES,
    REDIS_ACL,
    REDIS_PASSWORD,
)
from twinstack.software.building import locked, remove_tree
from twinstack.world import require_root

#: Redis' user of this host's root: no replica has its password.
OPERATOR = "operator"
_REDIS_RULES = Path(__file__).parents[2] / "services/stores/redis.acl"
_PASSWORD_BYTES = 24
_SCRAM_ITERATIONS = 4096
_VAULT = ".vault"


def redis_acl(passwords: Mapping[str, str], rules: Path = _REDIS_RULES) -> str:
    """Give Redis' users, with digests of their passwords: user → password.

    Users with neither a password nor a rule that they need none are left out.
    Raises: WrongUse for a password without a user.
    """
    written = [line.split(maxsplit=2) for line in rules.read_text().splitlines()]
    users = {words[1]: words[2] for words in written if words[:1] == ["user"]}
    if unknown := sorted(passwords.keys() - users.keys()):
        cause = f"services/stores/{rules.name} gives it no rights"
        raise WrongUse(f"Redis' user {unknown[0]}", "cannot be made", cause, "add a line")
    lines = []
    for user, rights in users.items():
        if password := passwords.get(user):
            digest = hashlib.sha256(password.encode()).hexdigest()
            lines.append(f"user {user} #{digest} {rights}\n")
        elif {"off", "nopass"} & set(rights.split()):
            lines.append(f"user {user} {rights}\n")
    return "".join(lines)


def postgres_roles(passwords: Mapping[str, str]) -> str:
    """Give the roles that may log in to PostgreSQL, each with its password's verifier."""
    return "".join(f"{role} {scram_verifier(role, text)}\n" for role, text in passwords.items())


def scram_verifier(role: str, password: str) -> str:
    """Give what PostgreSQL stores of a password; the same each time. Source: RFC 5803, RFC 5802.

    The salt is made of the password, which is random and nowhere else.
    """
    salt = hashlib.sha256(f"{role} {password}".encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    texts = (base64.b64encode(part).decode() for part in (salt, _sha256(client_key), server_key))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_SCRAM_ITERATIONS, *texts)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def secret_id(service: str, name: str) -> str:
    """Tell secrets of a world apart: those of stores are each service's own."""
    return f"{service}.{name}" if name in {REDIS_PASSWORD, POSTGRES_PASSWORD} else name


def secret_path(directory: Path, service: str, name: str) -> Path:
    """Give the host's path of a service's own copy of a secret."""
    return directory / service / name


def operator_password(directory: Path) -> str:
    """Give the password of Redis' user `operator`. Raises: OSError where a world was never up."""
    return (directory / _VAULT / secret_id(OPERATOR, REDIS_PASSWORD)).read_text()


def ensure_secrets(directory: Path, plan: Plan) -> None:
    """Create missing secrets and correct owners and modes; existing passwords stay.

    Raises: Missing without root; WrongUse for a password without a user.
    """
    require_root("secrets")
    with locked(directory, lambda _line: None):
        directory.chmod(0o755)
        vault = directory / _VAULT
        vault.mkdir(mode=0o700, exist_ok=True)
        for user, name in _passwords(plan):
            file = vault / secret_id(user, name)
            if not _text(file):
                files.write(file, secrets.token_urlsafe(_PASSWORD_BYTES), mode=0o400)
        for replica in plan.replicas:
            values = {name: _value(vault, plan, replica, name) for name in replica.secrets}
            _place(directory, replica, values)


def stale_secrets(directory: Path, plan: Plan) -> frozenset[str]:
    """Name the services with a missing or wrong secret; changes nothing.

    Raises: Missing without root, who alone may read them.
    """
    require_root("secrets")
    vault = directory / _VAULT

    def is_stale(replica: Replica, name: str) -> bool:
        path = secret_path(directory, replica.service, name)
        return not _is_current(path, _value(vault, plan, replica, name), replica.user)

    return frozenset(
        replica.service
        for replica in plan.replicas
        if any(is_stale(replica, name) for name in replica.secrets)
    )


def secrets_of(directory: Path, replicas: Iterable[Replica]) -> dict[str, dict[str, str]]:
    """Give replicas' secrets: service → name → value. Raises: OSError where one is missing."""
    return {
        replica.service: {
            name: secret_path(directory, replica.service, name).read_text()
            for name in replica.secrets
        }
        for replica in replicas
        if replica.secrets
    }


def place_secrets(
    directory: Path, replicas: Iterable[Replica], values: Mapping[str, Mapping[str, str]]
) -> None:
    """Write secrets that were created elsewhere; those of other services are left alone."""
    for replica in replicas:
        if replica.secrets:
            own = values[replica.service]
            _place(directory, replica, {name: own[name] for name in replica.secrets})


def drop_secrets(directory: Path, replicas: Iterable[Replica]) -> None:
    """Remove the secrets of all services but these replicas'."""
    kept = {replica.service for replica in replicas}
    if directory.is_dir():
        for home in directory.iterdir():
            if home.name not in kept:
                remove_tree(home)


def _passwords(plan: Plan) -> list[tuple[str, str]]:
    """List who has which password."""
    named = {(replica.service, name) for replica in plan.replicas for name in replica.secrets}
    if REDIS_ACL in {name for _, name in named}:
        named.add((OPERATOR, REDIS_PASSWORD))
    return sorted(each for each in named if each[1] not in OF_STORES)


def _value(vault: Path, plan: Plan, replica: Replica, name: str) -> str:
    """Give a secret's value, made of the passwords that are there."""
    made = {
        REDIS_ACL: (REDIS_PASSWORD, redis_acl),
        POSTGRES_ROLES: (POSTGRES_PASSWORD, postgres_roles),
    }
    if name not in made:
        return _text(vault / secret_id(replica.service, name))
    of, make = made[name]
    users = [user for user, password in _passwords(plan) if password == of]
    return make({user: _text(vault / secret_id(user, of)) for user in users})


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _is_current(file: Path, value: str, owner: int) -> bool:
    try:
        status = file.stat()
        return (file.read_text(), status.st_uid, status.st_mode & 0o777) == (value, owner, 0o400)
    except FileNotFoundError:
        return False


def _place(directory: Path, replica: Replica, values: Mapping[str, str]) -> None:
    """Write a service's copies; a current one is left alone: it may be bound into a container."""
    home = directory / replica.service
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    for file in home.iterdir():
        if file.name not in values:  # of an earlier topology
            remove_tree(file)
    for name, value in values.items():
        if not _is_current(home / name, value, replica.user):
            files.write(home / name, value, mode=0o400, owner=replica.user)
