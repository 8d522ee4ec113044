"""The configurations of nginx and Redis: rendered from a Plan, the same in every world; pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import BODY_MAX_BYTES, NGINX_CONF, REDIS_CONF, REDIS_DATA
from twinstack.model.topology import WORLDS

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parents[2] / "templates"
#: Redis counts only its data: the rest of its limit is for buffers and the allocator.
_REDIS_SHARE = 0.5
_REDIS_UNLIMITED_BYTES = 64 * 1024**2


@cache
def templates_in(folder: Path, *, html: bool = False) -> Environment:
    """Open a folder of templates; each is compiled once, and again when its file changes.

    A missing value is an error, never an empty string. `html`: values are escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # 40 ms few tasks need

    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=html,
    )


def render(template: str, **values: object) -> str:
    """Render a template of ours."""
    return templates_in(TEMPLATES).get_template(template).render(**values)


def configuration_of(plan: Plan, replica: Replica) -> Mapping[str, str]:
    """Give a replica's configuration files: path inside its root → text. None for Python."""
    if replica.runtime == "nginx":
        return {NGINX_CONF: nginx_conf(plan, replica)}
    return {REDIS_CONF: redis_conf(replica)} if replica.runtime == "redis" else {}


def nginx_conf(plan: Plan, replica: Replica, resolver: str | None = None) -> str:
    """Render the load balancer's configuration, with the replicas that it may reach as upstreams.

    With a `resolver` it looks the service's name up there again and again instead: for replicas
    without fixed addresses.
    """
    reached = {flow.destination for flow in plan.flows if flow.source == replica.service}
    return render(
        "nginx.conf.j2",
        name=replica.name,
        port=replica.port,
        workers=replica.workers,
        gateways=[upstream for upstream in plan.replicas if upstream.service in reached],
        resolver=resolver,
        # Swarm's ingress hides who the client is.
        limit=None if resolver or not _counts_requests(plan) else plan.rate_limit,
        uncounted=_uncounted(plan),
        body_max_bytes=BODY_MAX_BYTES,
    )


def _counts_requests(plan: Plan) -> bool:
    return plan.rate_limit is not None and plan.rate_limit.requests_per_s is not None


def _uncounted(plan: Plan) -> list[str]:
    """List the addresses that stand for no one client: the probe's, and those of our own hosts.

    A host's own address is also that of whom it hides behind it: docker-proxy's clients, a hairpin,
    another host's clients of an overlay. Both worlds' are listed, so that both run the same text.
    """
    hosts = [str(segment.gateway_in(world)) for world in WORLDS for segment in plan.segments]
    return ["127.0.0.1", *hosts, *([str(plan.vtep.underlay)] if plan.vtep else [])]


def redis_conf(replica: Replica) -> str:
    """Render the cache's configuration."""
    limits = replica.limits
    memory = int(limits.memory_bytes * _REDIS_SHARE) if limits else _REDIS_UNLIMITED_BYTES
    return render("redis.conf.j2", port=replica.port, data=REDIS_DATA, maxmemory_bytes=memory)
