"""The secrets that a service may name. Pure.

A password is generated; a store gets what the passwords for it are checked by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from twinstack.model.mistakes import nearest

#: Of these passwords each service has one of its own; any other is of all services that name it.
REDIS_PASSWORD, POSTGRES_PASSWORD = "redis_password", "postgres_password"
#: What a store gets, by its runtime.
REDIS_ACL, POSTGRES_ROLES = "redis.acl", "postgres.roles"
OF_STORES = {REDIS_ACL: "redis", POSTGRES_ROLES: "postgres"}
NAME = re.compile(r"\w+_password|redis\.acl|postgres\.roles")
_REGISTRY = "registry_"
#: So like a known secret, another one is a misspelling: nobody would ask for it.
_LIKENESS = 0.85


def remedy_for(name: str, services: Iterable[str]) -> str | None:
    """Say what to do about a secret that nothing provides, or that no one reads; None for others.

    A password of any name is provided: an application of your own may read it.
    """
    registered = [f"{_REGISTRY}{service.replace('-', '_')}_password" for service in services]
    known = [REDIS_PASSWORD, POSTGRES_PASSWORD, "session_password", *OF_STORES, *registered]
    if name in known:
        return None
    is_password = NAME.fullmatch(name) is not None
    if is_password and name.startswith(_REGISTRY):
        return f"did you mean {nearest(name, registered) or registered[0]}?"
    if close := nearest(name, known, _LIKENESS):
        return f"did you mean {close}?"
    return None if is_password else f"name a password (…_password), {REDIS_ACL} or {POSTGRES_ROLES}"
