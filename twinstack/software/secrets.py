"""Passwords: created once for a world, each copy readable by one service.

A world's secrets are files `<directory>/<service>/<name>` beneath root's directories, owned by the
service's uid, with mode 0400. They are in no environment, image, process list or compose file.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from twinstack.errors import TwinstackError
from twinstack.linux import files
from twinstack.model.plan import Plan, Replica
from twinstack.software.building import locked, remove_tree
from twinstack.world import require_root

_PASSWORD_BYTES = 24
_VAULT = ".vault"
#: The one secret that is made of another one.
_ACL = "redis.acl"


def redis_acl(password: str) -> str:
    """Give Redis' users: the services', and one that can do nothing but ping."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user default on #{digest} ~* &* +@all\nuser health on nopass resetkeys -@all +ping\n"


def secret_path(directory: Path, service: str, name: str) -> Path:
    """Give the host's path of a service's own copy of a secret."""
    return directory / service / name


def ensure_secrets(directory: Path, plan: Plan) -> None:
    """Create missing secrets and correct owners and modes; existing passwords stay.

    Raises: Missing without root; TwinstackError for a secret that cannot be created.
    """
    require_root("secrets")
    with locked(directory, lambda _line: None):
        directory.chmod(0o755)
        vault = directory / _VAULT
        vault.mkdir(mode=0o700, exist_ok=True)
        for replica in plan.replicas:
            _place(directory, replica, {name: _value(vault, name) for name in replica.secrets})


def stale_secrets(directory: Path, plan: Plan) -> frozenset[str]:
    """Name the services with a missing or wrong secret; changes nothing.

    Raises: Missing without root, who alone may read them.
    """
    require_root("secrets")

    def is_stale(replica: Replica, name: str) -> bool:
        path = secret_path(directory, replica.service, name)
        return not _is_current(path, _existing(directory / _VAULT, name), replica.user)

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


def _value(vault: Path, name: str) -> str:
    """Give a secret's value, creating its password if there is none."""
    if name == _ACL:
        return redis_acl(_value(vault, "redis_password"))
    if not name.endswith("_password"):
        cause, remedy = f"only passwords (…_password) and {_ACL} can", "correct topology.yml"
        raise TwinstackError(f"secret {name}", "cannot be made", cause, remedy)
    if _existing(vault, name) is None:
        files.write(vault / name, secrets.token_urlsafe(_PASSWORD_BYTES), mode=0o400)
    return (vault / name).read_text()


def _existing(vault: Path, name: str) -> str | None:
    if name == _ACL:
        password = _existing(vault, "redis_password")
        return redis_acl(password) if password else None
    file = vault / name
    return file.read_text() or None if file.exists() else None


def _is_current(file: Path, value: str | None, owner: int) -> bool:
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
    for name, value in values.items():
        if not _is_current(home / name, value, replica.user):
            files.write(home / name, value, mode=0o400, owner=replica.user)
