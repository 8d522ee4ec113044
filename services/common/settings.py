"""A service's settings: its environment, read once at start.

Secrets are never in the environment: they are files in `SECRETS_DIR`, read when a connection is
made, so that a service may start before they are there.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path


class SettingError(Exception):
    """A variable of the environment has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of one replica. Time-outs and lifetimes are in seconds."""

    service: str
    replica: str
    workers: int  # processes of the replica
    address: str
    port: int
    registry_url: str
    redis_host: str
    redis_port: int
    redis_user: str
    postgres_host: str
    postgres_port: int
    postgres_user: str
    postgres_db: str
    secrets_dir: Path
    data_dir: Path | None  # outlives the process; None: nothing does
    networks: tuple[IPv4Network, ...]  # the platform's, where instances are
    log_requests: bool
    cache: str  # "shared": Redis alone; "near": a copy in the process too
    cache_ttl_s: int
    session_ttl_s: int
    upstream_timeout_s: float
    max_body_bytes: int

    def secret(self, name: str) -> str:
        """Read a secret, or give "" when there is none (the store will say so, clearly)."""
        try:
            return (self.secrets_dir / name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def registry_password(self, service: str) -> str:
        """Read what a service shows the registry: its own copy, or the registry's; "" for none."""
        return self.secret(f"registry_{service.replace('-', '_')}_password")


def from_environment(service: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of `service`. Raises: SettingError, naming the variable."""
    env = os.environ if environ is None else environ
    name = env.get("TWINSTACK_SERVICE", service)
    return Settings(
        service=name,
        replica=env.get("TWINSTACK_REPLICA", name),
        workers=_integer(env, "TWINSTACK_WORKERS", 1, 1, 64),
        address=env.get("TWINSTACK_ADDRESS", "") or _own_address(env.get("TWINSTACK_TOWARDS", "")),
        port=_integer(env, "TWINSTACK_PORT", 5000, 1, 65535),
        registry_url=env.get("REGISTRY_URL", "http://service-registry:8500"),
        redis_host=env.get("REDIS_HOST", "redis-cache"),
        redis_port=_integer(env, "REDIS_PORT", 6379, 1, 65535),
        redis_user=env.get("REDIS_USER", name),
        postgres_host=env.get("POSTGRES_HOST", "postgres-db"),
        postgres_port=_integer(env, "POSTGRES_PORT", 5432, 1, 65535),
        postgres_user=env.get("POSTGRES_USER", name),
        postgres_db=env.get("POSTGRES_DB", "shop"),
        secrets_dir=Path(env.get("SECRETS_DIR", "/run/secrets")),
        data_dir=Path(env["DATA_DIR"]) if env.get("DATA_DIR") else None,
        networks=_networks(env, "TWINSTACK_NETWORKS"),
        log_requests=env.get("LOG_REQUESTS", "1") not in {"0", "false", "no", ""},
        cache=_choice(env, "CACHE", ("shared", "near")),
        cache_ttl_s=_integer(env, "CACHE_TTL_S", 30, 1, 86_400),
        session_ttl_s=_integer(env, "SESSION_TTL_S", 3600, 1, 2_592_000),
        upstream_timeout_s=_integer(env, "UPSTREAM_TIMEOUT_MS", 5000, 50, 60_000) / 1000,
        max_body_bytes=_integer(env, "MAX_BODY_BYTES", 65_536, 1024, 16_777_216),
    )


def _integer(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise SettingError(f"{name}={text}: not a whole number from {low} to {high}")
    return int(text)


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    text = env.get(name) or choices[0]
    if text not in choices:
        raise SettingError(f"{name}={text}: not one of {', '.join(choices)}")
    return text


def _networks(env: Mapping[str, str], name: str) -> tuple[IPv4Network, ...]:
    try:
        return tuple(map(IPv4Network, env.get(name, "").split()))
    except ValueError as error:
        raise SettingError(f"{name}={env[name]}: not networks divided by blanks: {error}") from None


def _own_address(towards: str) -> str:
    """Give our source address for packets `towards` an address; without one, our host name's.

    Sends nothing: connecting a UDP socket only consults the routing table.
    """
    try:
        if towards:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.connect((towards, 9))
                return str(asking.getsockname()[0])
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"
