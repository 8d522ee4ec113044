"""How each kind of service is started and asked for its health: the same words in both worlds.

A service's root looks alike in both worlds (see docs/architecture.md): packages under
/srv/twinstack/site, the applications under /srv/twinstack/services, secrets under
/run/secrets. So a command line is decided here once, and a namespace's launch script and a
Dockerfile's CMD only carry it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from twinstack.model.topology import ServiceSpec

Role = Literal["python", "nginx", "redis", "postgres"]

SRV = "/srv/twinstack"
SECRETS = "/run/secrets"
POSTGRES_DATA = "/var/lib/postgresql/data"
NGINX_CONF = "/etc/nginx/nginx.conf"
REDIS_CONF = "/etc/redis/redis.conf"

_BACKLOG = "2048"
_GRACE_S = "3"

_PYTHON_ENVIRONMENT = (
    ("PATH", "/usr/bin:/bin"),
    ("LANG", "C.UTF-8"),
    ("PYTHONPATH", f"{SRV}/site:{SRV}"),
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("REGISTRY_URL", "http://service-registry:8500"),
    ("REDIS_HOST", "redis-cache"),
    ("REDIS_PORT", "6379"),
    ("POSTGRES_HOST", "postgres-db"),
    ("POSTGRES_PORT", "5432"),
    ("POSTGRES_USER", "shop"),
    ("POSTGRES_DB", "shop"),
    ("SECRETS_DIR", SECRETS),
    ("LOG_REQUESTS", "1"),
)
_STORE_ENVIRONMENT = (("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"), ("LANG", "C.UTF-8"))


@dataclass(frozen=True, slots=True)
class Launch:
    """What is executed in a service's root, as whom aside.

    `stop_signal` asks for an orderly end; `data` is the directory that outlives the process.
    """

    role: Role
    command: tuple[str, ...]
    probe: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    stop_signal: str
    data: str | None = None


def launch_of(spec: ServiceSpec) -> Launch:
    """Decide how a declared service is started and probed."""
    probe = _http_probe(spec.port, spec.health.http) if spec.health.http else _PINGS[spec.runtime]
    if spec.runtime == "nginx":
        nginx = ("/usr/sbin/nginx", "-c", NGINX_CONF, "-g", "daemon off;")
        return Launch("nginx", nginx, probe, _STORE_ENVIRONMENT, "QUIT")
    if spec.runtime == "redis":
        redis = ("/usr/bin/redis-server", REDIS_CONF)
        return Launch("redis", redis, probe, _STORE_ENVIRONMENT, "TERM")
    if spec.runtime == "postgres":
        postgres = ("/bin/bash", f"{SRV}/services/stores/postgres.sh")
        environment = (*_STORE_ENVIRONMENT, ("PGDATA", POSTGRES_DATA))
        # INT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
        return Launch("postgres", postgres, probe, environment, "INT", data=POSTGRES_DATA)
    return Launch("python", _python_command(spec), probe, _PYTHON_ENVIRONMENT, "TERM")


def _python_command(spec: ServiceSpec) -> tuple[str, ...]:
    module, port = str(spec.module), str(spec.port)
    # Which flags, and why, is measured and told in services/README.md.
    if spec.runtime == "asgi":
        return (
            "/usr/bin/python3",
            "-m",
            "uvicorn",
            module,
            "--host",
            "0.0.0.0",
            "--port",
            port,
            "--workers",
            str(spec.workers),
            "--http",
            "services.api_gateway.server:Protocol",
            "--loop",
            "uvloop",
            "--ws",
            "none",
            "--lifespan",
            "on",
            "--no-access-log",
            "--no-server-header",
            "--no-proxy-headers",
            "--log-level",
            "error",
            "--backlog",
            _BACKLOG,
            "--timeout-keep-alive",
            "75",
            "--timeout-graceful-shutdown",
            _GRACE_S,
        )
    return (
        "/usr/bin/python3",
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--http",
        "1",
        "--no-ws",
        "--host",
        "0.0.0.0",
        "--port",
        port,
        "--workers",
        str(spec.workers),
        "--blocking-threads",
        str(spec.threads),
        "--backlog",
        _BACKLOG,
        "--log-level",
        "warning",
        "--workers-kill-timeout",
        _GRACE_S,
        module,
    )


def _http_probe(port: int, path: str) -> tuple[str, ...]:
    """Ask for a path with bash's own sockets: no interpreter is started, no client installed."""
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
