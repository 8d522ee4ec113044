"""Passwords: made once for a world, readable by the one service each copy is for.

A world's secrets are files `<directory>/<service>/<name>`, each owned by its service's uid with
mode 0400 beneath root's directories. They stand in no environment, image, process list or
compose file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from twinstack.errors import Missing, TwinstackError
from twinstack.linux import files
from twinstack.model.plan import Plan, Replica
from twinstack.software.building import locked, remove_tree

_BYTES = 24
_VAULT = ".vault"


def _acl(redis_password: str) -> str:
    """Give Redis' users: the services' own, and one that can do nothing but ping."""
    digest = hashlib.sha256(redis_password.encode()).hexdigest()
    return f"user default on #{digest} ~* &* +@all\nuser health on nopass resetkeys -@all +ping\n"


#: Secrets that follow from another one.
_DERIVED: Mapping[str, tuple[str, Callable[[str], str]]] = MappingProxyType(
    {"redis.acl": ("redis_password", _acl)}
)


def secret_path(directory: Path, service: str, name: str) -> Path:
    """Give the host's path of a service's own copy of a secret."""
    return directory / service / name


def ensure_secrets(directory: Path, plan: Plan) -> None:
    """Make what is missing and put owners and modes right; existing passwords stay.

    Raises: Missing without root; TwinstackError for a secret nobody knows how to make.
    """
    if os.geteuid() != 0:
        raise Missing("secrets", "cannot be made", "only root may", "run it with sudo")
    with locked(directory, lambda _line: None):
        directory.chmod(0o755)
        vault = directory / _VAULT
        vault.mkdir(mode=0o700, exist_ok=True)
        for replica in plan.replicas:
            home = directory / replica.service
            home.mkdir(exist_ok=True)
            home.chmod(0o755)
            for name in replica.secrets:
                _place(home / name, _value(vault, name), replica.user)


def stale_secrets(directory: Path, plan: Plan) -> frozenset[str]:
    """Name the services of which a secret is missing or not right; changes nothing.

    Raises: Missing without root, who alone may read them.
    """
    if os.geteuid() != 0:
        raise Missing("secrets", "cannot be read", "only root may", "run it with sudo")
    vault = directory / _VAULT
    return frozenset(
        replica.service
        for replica in plan.replicas
        for name in replica.secrets
        if not _is_right(
            secret_path(directory, replica.service, name), _kept(vault, name), replica.user
        )
    )


def secrets_of(directory: Path, replicas: Iterable[Replica]) -> dict[str, dict[str, str]]:
    """Give the secrets of replicas as they are kept here: service → name → value.

    Raises: OSError where one was not made yet.
    """
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
    """Write down secrets that were made elsewhere; those of other services are left alone."""
    directory.mkdir(parents=True, exist_ok=True)
    for replica in replicas:
        home = directory / replica.service
        for name in replica.secrets:
            home.mkdir(exist_ok=True)
            home.chmod(0o755)
            _place(home / name, values[replica.service][name], replica.user)


def drop_secrets(directory: Path, replicas: Iterable[Replica]) -> None:
    """Remove the secrets of all services but these replicas'."""
    kept = {replica.service for replica in replicas}
    if directory.is_dir():
        for home in directory.iterdir():
            if home.name not in kept:
                remove_tree(home)


def remove_secrets(directory: Path) -> bool:
    """Remove a world's secrets and say whether there were any."""
    return remove_tree(directory)


def _value(vault: Path, name: str) -> str:
    if name in _DERIVED:
        source, derive = _DERIVED[name]
        return derive(_value(vault, source))
    if not name.endswith("_password"):
        raise TwinstackError(
            f"secret {name}",
            "cannot be made",
            "only passwords (…_password) and redis.acl can",
            "correct it in topology.yml",
        )
    file = vault / name
    if not file.exists() or not file.read_text():
        _place(file, secrets.token_urlsafe(_BYTES), 0)
    return file.read_text()


def _kept(vault: Path, name: str) -> str | None:
    """Give a secret's value, or None when it is yet to be made."""
    source, derive = _DERIVED.get(name, (name, str))
    file = vault / source
    value = file.read_text() if file.exists() else ""
    return derive(value) if value else None


def _is_right(file: Path, value: str | None, owner: int) -> bool:
    try:
        now = file.stat()
        return (file.read_text(), now.st_uid, now.st_mode & 0o777) == (value, owner, 0o400)
    except FileNotFoundError:
        return False


def _place(file: Path, value: str, owner: int) -> None:
    """Write a file whole or not at all, never readable by anybody else on the way.

    A file that is right already is left alone: it may be bound into a running service.
    """
    if not _is_right(file, value, owner):
        files.write(file, value, mode=0o400, owner=owner)
