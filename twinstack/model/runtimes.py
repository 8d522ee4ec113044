"""How each kind of service is started and probed: one command line for both worlds. Pure.

A service's root is alike in both (see docs/architecture.md): packages under /srv/twinstack/site,
applications under /srv/twinstack/services, secrets under /run/secrets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from twinstack.model.topology import ServiceSpec

Role = Literal["python", "nginx", "redis", "postgres"]

SRV = "/srv/twinstack"
#: The service by which the others find each other.
REGISTRY = "service-registry"
SECRETS = "/run/secrets"
POSTGRES_DATA = "/var/lib/postgresql/data"
REDIS_DATA = "/var/lib/redis"
APPLICATION_DATA = "/var/lib/twinstack/data"
NGINX_CONF = "/etc/nginx/nginx.conf"
REDIS_CONF = "/etc/redis/redis.conf"

#: What nginx, the gateway and the services take as a request's body.
BODY_MAX_BYTES = 65_536
_BACKLOG = 2048
_GRACE_S = 3

_PYTHON_ENVIRONMENT = (
    ("PATH", "/usr/bin:/bin"),
    ("LANG", "C.UTF-8"),
    ("PYTHONPATH", f"{SRV}/site:{SRV}"),
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("REGISTRY_URL", f"http://{REGISTRY}:8500"),
    ("REDIS_HOST", "redis-cache"),
    ("REDIS_PORT", "6379"),
    ("POSTGRES_HOST", "postgres-db"),
    ("POSTGRES_PORT", "5432"),
    ("POSTGRES_DB", "shop"),
    ("SECRETS_DIR", SECRETS),
    ("LOG_REQUESTS", "1"),
    ("MAX_BODY_BYTES", str(BODY_MAX_BYTES)),
)
_STORE_ENVIRONMENT = (("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"), ("LANG", "C.UTF-8"))


@dataclass(frozen=True, slots=True)
class Launch:
    """What is executed in a service's root."""

    role: Role
    command: tuple[str, ...]
    probe: tuple[str, ...]  # exits 0 when the service can serve
    environment: tuple[tuple[str, str], ...]
    stop_signal: str  # asks for an orderly end
    data: str | None = None  # the directory that outlives the process


def launch_of(spec: ServiceSpec) -> Launch:
    """Decide how a declared service is started and probed."""
    probe = _http_probe(spec.port, spec.health.http) if spec.health.http else _PINGS[spec.runtime]
    if spec.runtime == "nginx":
        nginx = ("/usr/sbin/nginx", "-c", NGINX_CONF, "-g", "daemon off;")
        return Launch("nginx", nginx, probe, _STORE_ENVIRONMENT, "QUIT")
    if spec.runtime == "redis":
        redis = ("/usr/bin/redis-server", REDIS_CONF)
        return Launch("redis", redis, probe, _STORE_ENVIRONMENT, "TERM", data=REDIS_DATA)
    if spec.runtime == "postgres":
        postgres = ("/bin/bash", f"{SRV}/services/stores/postgres.sh")
        environment = (*_STORE_ENVIRONMENT, ("PGDATA", POSTGRES_DATA))
        # INT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
        return Launch("postgres", postgres, probe, environment, "INT", data=POSTGRES_DATA)
    data = APPLICATION_DATA if spec.data else None
    environment = (
        *_PYTHON_ENVIRONMENT,
        *((("DATA_DIR", data),) if data else ()),
        *((("TWINSTACK_WORKERS", str(spec.workers)),) if spec.workers > 1 else ()),
    )
    return Launch("python", _python_command(spec), probe, environment, "TERM", data=data)


def _python_command(spec: ServiceSpec) -> tuple[str, ...]:
    # Which flags, and why, is measured in services/README.md.
    listen = f"--host 0.0.0.0 --port {spec.port} --workers {spec.workers}"
    if spec.runtime == "asgi":
        command = (
            f"uvicorn {spec.module} {listen} --http services.api_gateway.server:Protocol"
            " --loop uvloop --ws none --lifespan on --no-access-log --no-server-header"
            f" --no-proxy-headers --log-level error --backlog {_BACKLOG}"
            f" --timeout-keep-alive 75 --timeout-graceful-shutdown {_GRACE_S}"
        )
    else:
        command = (
            f"granian --interface wsgi --http 1 --no-ws {listen} --blocking-threads {spec.threads}"
            f" --backlog {_BACKLOG} --log-level warning --workers-kill-timeout {_GRACE_S}"
            f" {spec.module}"
        )
    return ("/usr/bin/python3", "-m", *command.split())


def _http_probe(port: int, path: str) -> tuple[str, ...]:
    """GET a path with bash's own sockets: it starts no interpreter and needs no client."""
    script = (
        f"exec 3<>/dev/tcp/127.0.0.1/{port} && "
        f"printf 'GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && "
        "read -r -t 2 line <&3 && [[ $line == *' 200 '* ]]"
    )
    return ("/bin/bash", "-c", script)


_PINGS: dict[str, tuple[str, ...]] = {
    "redis": (
        "/bin/bash",
        "-c",
        "[[ $(/usr/bin/redis-cli --user health --pass none --no-auth-warning ping) == PONG ]]",
    ),
    "postgres": (
        "/bin/bash",
        "-c",
        "exec /usr/lib/postgresql/*/bin/pg_isready -q -h /tmp -U shop -d shop -t 2",
    ),
}
