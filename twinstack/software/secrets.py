"""Passwords: made once for a world, readable by the one service each copy is for.

A world's secrets are files `<directory>/<service>/<name>`, each owned by its service's uid with
mode 0400 beneath root's directories. They stand in no environment, image, process list or
compose file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from twinstack.errors import Missing, TwinstackError
from twinstack.plan import Plan
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


def remove_secrets(directory: Path) -> bool:
    """Remove a world's secrets and say whether there were any."""
    return remove_tree(directory)


def _value(vault: Path, name: str) -> str:
    if name in _DERIVED:
        source, derive = _DERIVED[name]
        return derive(_value(vault, source))
    if not name.endswith("_password"):
        raise TwinstackError(
            f"secret {name}", "cannot be made", "only passwords (…_password) and redis.acl can",
            "correct it in topology.yml",
        )  # fmt: skip
    file = vault / name
    if not file.exists() or not file.read_text():
        _place(file, secrets.token_urlsafe(_BYTES), 0)
    return file.read_text()


def _place(file: Path, value: str, owner: int) -> None:
    """Write a file whole or not at all, never readable by anybody else on the way.

    A file that is right already is left alone: it may be bound into a running service.
    """
    try:
        now = file.stat()
        if (file.read_text(), now.st_uid, now.st_mode & 0o777) == (value, owner, 0o400):
            return
    except FileNotFoundError:
        pass
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(handle, "w") as opened:
        opened.write(value)
        os.fchown(opened.fileno(), owner, owner)
    fresh.rename(file)
