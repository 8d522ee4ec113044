"""The configurations of nginx and Redis: pure text from a Plan, the same in both worlds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import NGINX_CONF, REDIS_CONF

TEMPLATES = Path(__file__).parents[2] / "templates"
#: Redis counts only its data: the rest of its limit is for buffers and the allocator.
_REDIS_SHARE = 0.5
_REDIS_UNLIMITED_BYTES = 64 * 1024**2


def render(template: str, **values: object) -> str:
    """Fill in a template; a value that is missing is an error, never an empty string."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    return environment.get_template(template).render(**values)


def configuration_of(plan: Plan, replica: Replica) -> Mapping[str, str]:
    """Give a replica's configuration files: path inside its root → text. Empty for Python."""
    if replica.runtime == "nginx":
        return {NGINX_CONF: nginx_conf(plan, replica)}
    if replica.runtime == "redis":
        return {REDIS_CONF: redis_conf(replica)}
    return {}


def nginx_conf(plan: Plan, replica: Replica, resolver: str | None = None) -> str:
    """Render the load balancer's configuration: it leads to every replica that it may reach.

    With a `resolver` it asks there for the service's name again and again: its replicas have no
    addresses that stay.
    """
    reached = {flow.destination for flow in plan.flows if flow.source == replica.service}
    gateways = [one for one in plan.replicas if one.service in reached]
    return render(
        "nginx.conf.j2",
        name=replica.name,
        port=replica.port,
        workers=replica.workers,
        gateways=gateways,
        resolver=resolver,
    )


def redis_conf(replica: Replica) -> str:
    """Render the cache's configuration."""
    limits = replica.limits
    memory = int(limits.memory_bytes * _REDIS_SHARE) if limits else _REDIS_UNLIMITED_BYTES
    return render("redis.conf.j2", port=replica.port, maxmemory_bytes=memory)
